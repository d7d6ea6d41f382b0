// Unigram: text to token ids as SentencePiece has it, in encoders (XLM-RoBERTa, multilingual E5,
// BGE-M3) and, piece by piece, in decoders (tokenizer.h), exactly as the `tokenizers` library does
// it. Of all ways to cut a piece of text into tokens the one whose scores are the most together.
//
// Immutable once made; any thread. Owns its tables. Special tokens are never found in a text: what
// a user writes is text.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/prefix_tree.h"
#include "backends/local/tokenizer/tokenizer.h"
#include "backends/local/tokenizer/unigram_text.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

// What a model file says about its tokenizer. Ids are positions in `tokens`.
struct UnigramVocabulary {
  std::vector<std::string_view> tokens;
  std::vector<double> scores;    // Of the first tokens; those behind are found in no text.
  std::vector<TokenId> special;  // Found in no text, either.
  TokenId unknown = -1;
  bool spells_bytes = false;  // What is unknown is spelt, where all its bytes are tokens: <0x0A>.
  UnigramText text;
};

class Unigram {
 public:
  // The best way to each place of a piece, as its last token: how many bytes that has, and whether
  // it is an unknown character. 0: there is no way yet.
  using Steps = std::vector<std::uint16_t>;

  // Copies what it needs. An error says what does not fit.
  static Result<Unigram> make(const UnigramVocabulary& vocabulary);

  // Work ends with the piece that makes the ids more than `tokens_max`.
  std::vector<TokenId> encode(std::string_view text, std::size_t tokens_max) const;

  // Appends what a piece is; `steps` is scratch space, reused between pieces.
  void encode_piece(std::string_view piece, Steps& steps, std::vector<TokenId>& ids) const;

  int size() const { return size_; }

  // Nothing is unknown.
  bool spells_all() const;

 private:
  explicit Unigram(const UnigramVocabulary& vocabulary);

  void walk(std::string_view piece, Steps& steps) const;
  void put_unknown(std::string_view text, std::vector<TokenId>& ids) const;

  PrefixTree tree_;
  std::vector<double> scores_;
  std::array<TokenId, 256> byte_ids_{};  // -1: no such token.
  double unknown_score_ = 0.0;
  TokenId unknown_;
  int size_;
  UnigramText text_;
};

}  // namespace spillway::tokenizer
