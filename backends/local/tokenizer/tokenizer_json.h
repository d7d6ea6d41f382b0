// A tokenizer.json, as the `tokenizers` library writes it, as a Tokenizer.
//
// Start-up only, any thread. The file is not trusted: its size and ids are bounded.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/tokenizer.h"

#include <string>
#include <string_view>

namespace spillway::tokenizer {

struct JsonTokenizer {
  Tokenizer tokenizer;
  std::string begin;  // The token that its post-processor puts before a text; empty: none.
};

// BPE and Unigram models whose parts are known. Errors name the part: what is not understood would
// make other ids than the model was trained on.
Result<JsonTokenizer> tokenizer_from_json(std::string_view text);

}  // namespace spillway::tokenizer
