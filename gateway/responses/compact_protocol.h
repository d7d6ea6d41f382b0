// POST /v1/responses/compact as a Protocol: a long conversation in fewer words, to go on with.
//
// The model is asked for a summary like for any answer, on the caller's account. What comes back is
// the user's own messages and behind them one item that holds it. Nothing is encrypted in its
// `encrypted_content`: the conversation is its client's. Sent as input again, it is said to the
// model as what went before.
#pragma once

#include "gateway/responses/responses_protocol.h"
#include "gateway/wire/protocol.h"

namespace spillway::responses {

class CompactProtocol final : public wire::Protocol {
 public:
  // `responses` must outlive it.
  explicit CompactProtocol(const ResponsesProtocol& responses) : responses_(responses) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  const ResponsesProtocol& responses_;
};

}  // namespace spillway::responses
