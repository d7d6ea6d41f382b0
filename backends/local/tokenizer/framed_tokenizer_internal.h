// The readers of the kinds of tokenizer.json.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/framed_tokenizer.h"
#include "backends/local/tokenizer/json_parts_internal.h"

namespace spillway::tokenizer {

// BERT's normalizer and pre-tokenizer; errors name the part that is another.
Result<FramedTokenizer> read_word_piece(const Json& json);

// SentencePiece's Unigram, with the normalizers that its encoders have.
Result<FramedTokenizer> read_unigram(const Json& json);

// Its pieces: tokens, scores, and what is unknown.
Result<void> read_unigram_pieces(const Json& model, UnigramVocabulary& vocabulary);

// As tokenizer_from_json.
Result<FramedTokenizer> read_bpe(const Json& json);

}  // namespace spillway::tokenizer
