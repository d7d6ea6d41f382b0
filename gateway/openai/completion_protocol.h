// POST /v1/completions as a Protocol: text that goes on, streamed or whole.
#pragma once

#include "gateway/wire/protocol.h"

namespace spillway::openai {

class CompletionProtocol final : public wire::Protocol {
 public:
  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  static Result<wire::Asked> asked_by(wire::Call& call);
};

}  // namespace spillway::openai
