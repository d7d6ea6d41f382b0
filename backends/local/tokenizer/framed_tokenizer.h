// The tokenizer of a model that makes a vector of a text, of whatever kind, and the frame that the
// model was trained to see.
//
// Immutable once made; any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/frame.h"
#include "backends/local/tokenizer/tokenizer.h"
#include "backends/local/tokenizer/unigram.h"
#include "backends/local/tokenizer/word_piece.h"

#include <cstddef>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::tokenizer {

struct FramedTokenizer {
  std::variant<WordPiece, Unigram, Tokenizer> kind;
  Frame frame;

  // Without the frame; special tokens in it are text. Past `tokens_max` the rest may be left out.
  std::vector<TokenId> encode(std::string_view text, std::size_t tokens_max) const;

  int size() const;
};

// Of a tokenizer.json, which is not trusted: its size and ids are bounded. Errors name the part
// that is not understood. What the file says of truncation and padding is for who encodes with the
// library: it is left aside.
Result<FramedTokenizer> framed_tokenizer_from_json(std::string_view text);

}  // namespace spillway::tokenizer
