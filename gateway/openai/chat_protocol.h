// POST /v1/chat/completions as a Protocol: parse_chat for what comes in, ChatWriter and ChatAnswer
// for what goes out.
#pragma once

#include "gateway/wire/protocol.h"

namespace spillway::openai {

class ChatProtocol final : public wire::Protocol {
 public:
  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;
};

}  // namespace spillway::openai
