// A tokenizer.json of the WordPiece kind as a WordPiece.
//
// Start-up only, any thread. The file is not trusted: its size and ids are bounded.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/word_piece.h"

#include <string_view>
#include <vector>

namespace spillway::tokenizer {

struct JsonWordPiece {
  WordPiece words;
  // What its post-processor puts around a text: [CLS] and [SEP].
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

// BERT's normalizer and pre-tokenizer; errors name the part that is another. What the file says of
// truncation and padding is for who encodes with the library: it is left aside.
Result<JsonWordPiece> word_piece_from_json(std::string_view text);

}  // namespace spillway::tokenizer
