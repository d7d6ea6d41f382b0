// POST /tokenize and /detokenize, as vLLM has them: what is asked, and how it is answered. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {

// {"prompt"} or {"messages"}; a prompt becomes a request of Endpoint::completions.
Result<std::shared_ptr<const ChatRequest>> parse_tokenize(std::string body);

struct TokensToRead {
  std::string model;  // Empty: the one that there is.
  std::vector<std::int32_t> tokens;
};

// {"tokens"} and, if it likes, {"model"}.
Result<TokensToRead> parse_detokenize(std::string_view body);

std::string tokenize_answer(const std::vector<std::int32_t>& tokens, int context_max);
std::string detokenize_answer(std::string_view text);

}  // namespace spillway::openai
