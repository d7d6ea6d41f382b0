// POST /v1/messages as a Protocol, and what it counts for /v1/messages/count_tokens.
#pragma once

#include "gateway/anthropic/messages_request.h"
#include "gateway/wire/protocol.h"

#include <memory>
#include <string>

namespace spillway::anthropic {

// Reads a chat completion's body; what openai::parse_chat does.
using ReadChat = Result<std::shared_ptr<const ChatRequest>> (*)(std::string body);

class MessagesProtocol final : public wire::Protocol {
 public:
  explicit MessagesProtocol(ReadChat read_chat, Limit limit = Limit::required)
      : read_chat_(read_chat), limit_(limit) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  const ReadChat read_chat_;
  const Limit limit_;
};

}  // namespace spillway::anthropic
