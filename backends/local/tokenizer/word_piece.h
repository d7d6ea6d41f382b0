// WordPiece: text to token ids as BERT's models have it, exactly as the `tokenizers` library does
// it.
//
// Immutable once made; any thread. Owns its tables. A word is cut into the longest token it begins
// with, the longest continuation after that, and so on; one that cannot be cut to its end is
// unknown as a whole.
//
// Input marking is Tokenizer's (tokenizer.h): special tokens are recognised in control text only.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/bert_text.h"
#include "backends/local/tokenizer/prefix_tree.h"
#include "backends/local/tokenizer/tokenizer.h"
#include "backends/local/tokenizer/whole_tokens.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

// What a model file says about its tokenizer. Ids are positions in `tokens`.
struct WordVocabulary {
  std::vector<std::string_view> tokens;
  std::vector<TokenId> special;
  TokenId unknown = -1;
  std::string_view continuation = "##";  // What continuations begin with.
  std::size_t word_characters_max = 100;
  BertText text;
};

class WordPiece {
 public:
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

  // Copies what it needs. An error says which token is missing.
  static Result<WordPiece> make(const WordVocabulary& vocabulary);

  // Plain text: special tokens in it are ordinary words. Work ends with the word that makes the ids
  // more than `tokens_max`.
  std::vector<TokenId> encode(std::string_view text, std::size_t tokens_max = kAll) const;

  // Control text: special tokens in it become their ids.
  std::vector<TokenId> encode_control(std::string_view text) const;

  int size() const { return size_; }

 private:
  explicit WordPiece(const WordVocabulary& vocabulary);

  void encode_word(std::string_view word, std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, std::size_t tokens_max, std::vector<TokenId>& ids) const;

  static constexpr std::int32_t kWords = 0;          // The tree's root of what begins a word,
  static constexpr std::int32_t kContinuations = 1;  // …and of what goes on with one.

  PrefixTree tree_{2};
  WholeTokens special_;
  int size_;
  TokenId unknown_;
  std::size_t word_characters_max_;
  BertText text_;
};

}  // namespace spillway::tokenizer
