// POST /v1/responses as a Protocol: what came before is fetched from the archive, what is answered
// is kept there.
#pragma once

#include "gateway/responses/archive.h"
#include "gateway/responses/request.h"
#include "gateway/responses/response_object.h"
#include "gateway/wire/protocol.h"

#include <memory>
#include <string>
#include <vector>

namespace spillway::responses {

// Reads a chat completion's body; what openai::parse_chat does.
using ReadChat = Result<std::shared_ptr<const ChatRequest>> (*)(std::string body);

// A request understood, before anybody has answered it.
struct Understood {
  ResponseRequest request;
  ResponseInfo info;
  std::shared_ptr<const ChatRequest> chat;
  std::string told;  // The last item of its conversation; empty if it has none.
  Leave leave;       // For what came before.
};

// What is said to the model: the request, and what came before it.
struct Conversation {
  ResponseRequest request;
  std::vector<std::string> before;  // The lists of items of earlier turns, the oldest first.
  std::shared_ptr<ChatRequest> chat;
  std::string told;  // The last item of the request's conversation; empty if it has none.
  Leave leave;       // For what came before.
};

class ResponsesProtocol final : public wire::Protocol {
 public:
  // `archive` must outlive it.
  ResponsesProtocol(ReadChat read_chat, Archive& archive)
      : read_chat_(read_chat), archive_(archive) {}

  // The same with another archive.
  ResponsesProtocol with(Archive& archive) const { return ResponsesProtocol(read_chat_, archive); }

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

  // `call.body` with the turns that it goes on from.
  Async<Conversation> converse(const wire::Call& call) const;

  // All of `parse` but the writer.
  Async<Understood> understand(const wire::Call& call) const;

 private:
  Result<Conversation> said_in_chat(ResponseRequest& request, Archive::Past& past) const;

  const ReadChat read_chat_;
  Archive& archive_;
};

// The response as it is kept. `ended`: no more comes.
Kept kept_of(const Understood& understood, std::string tenant, std::string body, bool ended);

}  // namespace spillway::responses
