// POST /v1/chat/completions as a Protocol: parse_chat for what comes in, ChatWriter and ChatAnswer
// for what goes out.
#pragma once

#include "gateway/wire/kept_chat.h"
#include "gateway/wire/protocol.h"

namespace spillway::openai {

class ChatProtocol final : public wire::Protocol {
 public:
  // `shelf` takes what is asked for with `store: true`, and outlives this; null: nothing is kept.
  explicit ChatProtocol(wire::ChatShelf* shelf = nullptr) : shelf_(shelf) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  Result<wire::Asked> asked_by(wire::Call& call) const;

  wire::ChatShelf* const shelf_;
};

}  // namespace spillway::openai
