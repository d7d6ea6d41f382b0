// POST /v1/chat/completions as a Protocol: parse_chat for what comes in, ChatWriter and ChatAnswer
// for what goes out.
#pragma once

#include "gateway/wire/attachments.h"
#include "gateway/wire/kept_chat.h"
#include "gateway/wire/protocol.h"

namespace spillway::openai {

class ChatProtocol final : public wire::Protocol {
 public:
  // `shelf` takes what is asked for with `store: true`, `files` has what is named; both outlive
  // this. Null: nothing is kept, and no file known.
  explicit ChatProtocol(wire::ChatShelf* shelf = nullptr, wire::FileShelf* files = nullptr)
      : shelf_(shelf), files_(files) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  wire::ChatShelf* const shelf_;
  wire::FileShelf* const files_;
};

}  // namespace spillway::openai
