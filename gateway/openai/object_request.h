// The bodies of POST /v1/embeddings, /v1/moderations and /v1/rerank, from JSON to a ChatRequest of
// that endpoint. Pure and thread-safe; errors name the field.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "gateway/openai/embedding_text.h"

#include <memory>
#include <string>

namespace spillway::openai {

struct Question {
  std::shared_ptr<const ChatRequest> request;
  Encoding encoding = Encoding::as_it_comes;
};

Result<Question> parse_object_request(Endpoint endpoint, std::string body);

}  // namespace spillway::openai
