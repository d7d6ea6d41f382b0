// What the API's listener serves: which path speaks which protocol.
//
// Made by the composition root, which outlives it; its handlers run on any worker.
#pragma once

#include "gateway/anthropic/messages_protocol.h"
#include "gateway/api/conversation_api.h"
#include "gateway/api/count_tokens.h"
#include "gateway/api/models.h"
#include "gateway/api/response_api.h"
#include "gateway/api/response_socket.h"
#include "gateway/api/stored_chats.h"
#include "gateway/api/tokens.h"
#include "gateway/http/routes.h"
#include "gateway/openai/chat_protocol.h"
#include "gateway/openai/completion_protocol.h"
#include "gateway/openai/object_protocol.h"
#include "gateway/request/errand.h"
#include "gateway/request/pipeline.h"
#include "gateway/responses/compact_protocol.h"

#include <functional>
#include <memory>
#include <optional>

namespace spillway {

// `handler` once it is `ready`; until then 503, on GET /health, too.
http::Handler once(std::function<bool()> ready, http::Handler handler);

class Api {
 public:
  // All must outlive it. `pipeline` and the shelves may still be empty, until the listener starts.
  struct Doors {
    const Reception& reception;
    std::optional<Pipeline>& pipeline;
    const Models& models;
    StoredChats& chats;
    store::DiskThread& disk;
    std::unique_ptr<responses::Shelf>& shelf;
    std::unique_ptr<responses::Conversations>& conversations;
    wire::ReadingRoom& reading;
    responses::PastLimits past;
    responses::Enter open_socket;  // One WebSocket more of a tenant.
  };

  explicit Api(Doors doors);

  // Requires: this outlives the routes.
  http::Routes routes() const;

  // What may be asked for on somebody's behalf, too. Requires: this outlives them.
  Errands errands() const;

  // Responses in the background, which no connection waits for.
  ResponseApi& responses() { return response_api_; }

 private:
  Errand speak_for(const wire::Protocol& protocol) const;
  Async<int> count(std::shared_ptr<const ChatRequest> chat, std::string tenant) const;
  http::Handler speak(const wire::Protocol& protocol) const;

  std::optional<Pipeline>& pipeline_;
  const Models& models_;
  const StoredChats& chats_;
  const Tokens tokens_;
  const openai::ChatProtocol chat_;
  anthropic::CallNotes call_notes_;
  const anthropic::MessagesProtocol messages_;
  const anthropic::MessagesProtocol prompts_;
  const CountTokens count_tokens_;
  const openai::CompletionProtocol completions_;
  const openai::ObjectProtocol embeddings_{Endpoint::embeddings};
  const openai::ObjectProtocol moderations_{Endpoint::moderations};
  const openai::ObjectProtocol rerank_{Endpoint::rerank};
  responses::Archive archive_;
  const responses::ResponsesProtocol responses_;
  const responses::CompactProtocol compact_;
  const ConversationApi conversation_api_;
  ResponseApi response_api_;
  const ResponseSocket response_socket_;
};

}  // namespace spillway
