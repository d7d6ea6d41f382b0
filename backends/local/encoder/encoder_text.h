// The text side of an encoder: a text to the token ids that its model is given.
//
// Immutable once made; any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/encoder/encoder.h"
#include "backends/local/loader/encoder_folder.h"
#include "backends/local/tokenizer/framed_tokenizer.h"

#include <cstddef>
#include <string_view>
#include <utility>

namespace spillway::local {

class EncoderText {
 public:
  // Errors say what of tokenizer.json is not understood, or does not fit the weights.
  static Result<EncoderText> from_folder(const loader::EncoderFolder& folder);

  // Framed as the model was trained ([CLS] … [SEP]); special tokens in it are text.
  // context_too_long: it is longer than the model takes. invalid_request: it has no tokens.
  Result<TokenIds> encode(std::string_view text) const;

  // Ids that a client gives are taken as they are. invalid_request, context_too_long.
  Result<void> check(const TokenIds& ids) const;

 private:
  EncoderText(tokenizer::FramedTokenizer tokenizer, std::size_t tokens_max)
      : tokenizer_(std::move(tokenizer)), tokens_max_(tokens_max) {}

  tokenizer::FramedTokenizer tokenizer_;
  std::size_t tokens_max_;
};

}  // namespace spillway::local
