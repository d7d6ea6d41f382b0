// What POST /v1/embeddings asks of an encoder here, and the JSON that answers it. Pure; any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/encoder/encoder.h"
#include "backends/local/encoder/encoder_text.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {

struct EmbeddingRequest {
  std::vector<TokenIds> inputs;  // Never empty.
  std::optional<std::size_t> dimensions;
  int tokens = 0;  // Of all inputs.
};

// A text, texts, token ids or lists of them. Errors name the field, and of several inputs which:
// what `text` refuses, and what is no such request.
Result<EmbeddingRequest> read_embedding_request(std::string_view body, const EncoderText& text);

// The fields of `body` that say something of others' embeddings: no encoder here reads them.
std::vector<std::string> unread_fields(std::string_view body);

// OpenAI's list object, with embeddings as numbers.
std::string embedding_answer(std::span<const Embedding> embeddings, std::string_view model,
                             int tokens);

}  // namespace spillway::local
