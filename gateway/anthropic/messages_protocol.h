// POST /v1/messages as a Protocol, and what it counts for /v1/messages/count_tokens.
#pragma once

#include "gateway/anthropic/call_notes.h"
#include "gateway/anthropic/messages_request.h"
#include "gateway/wire/protocol.h"

#include <memory>
#include <string>

namespace spillway::anthropic {

// Reads a chat completion's body; what openai::parse_chat does.
using ReadChat = Result<std::shared_ptr<const ChatRequest>> (*)(std::string body);

class MessagesProtocol final : public wire::Protocol {
 public:
  // `notes` must outlive it; null: calls go back as their client gives them.
  explicit MessagesProtocol(ReadChat read_chat, Limit limit = Limit::required,
                            CallNotes* notes = nullptr)
      : read_chat_(read_chat), limit_(limit), notes_(notes) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  Result<wire::Asked> asked_by(wire::Call& call) const;

  const ReadChat read_chat_;
  const Limit limit_;
  CallNotes* const notes_;
};

}  // namespace spillway::anthropic
