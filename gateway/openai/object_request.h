// The bodies of POST /v1/embeddings, /v1/moderations and /v1/rerank, from JSON to a ChatRequest of
// that endpoint. Pure and thread-safe; errors name the field.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "gateway/openai/embedding_text.h"

#include <memory>
#include <string>
#include <string_view>

namespace spillway::openai {

struct Question {
  std::shared_ptr<const ChatRequest> request;
  Encoding encoding = Encoding::as_it_comes;
};

// Whether a body that came by no path is one of embeddings: it has an input and no messages.
bool asks_embeddings(std::string_view body);

Result<Question> parse_object_request(Endpoint endpoint, std::string body);

}  // namespace spillway::openai
