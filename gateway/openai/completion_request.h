// The body of POST /v1/completions, from JSON to a ChatRequest of Endpoint::completions.
//
// Pure and thread-safe. As parse_chat: nulls mean "absent", errors name the field.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <memory>
#include <string>
#include <vector>

namespace spillway::openai {

struct CompletionAsked {
  std::shared_ptr<const ChatRequest> request;
  // What choices begin with, as many of them with each: the prompts, where they are to be repeated
  // and nobody else does.
  std::vector<std::string> echoes;
};

Result<CompletionAsked> parse_completion(std::string body);

}  // namespace spillway::openai
