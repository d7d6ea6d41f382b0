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

  // Where tokens lead that begin alike, byte by byte.
  class Tree {
   public:
    static constexpr std::int32_t kWords = 0;          // Root of what begins a word,
    static constexpr std::int32_t kContinuations = 1;  // …and of what goes on with one.

    Tree();
    void add(std::int32_t root, std::string_view text, TokenId id);

    // The longest token that `text` begins with; its length is 0 if there is none.
    struct Match {
      TokenId id = -1;
      std::size_t length = 0;
    };
    Match longest(std::int32_t root, std::string_view text) const;

   private:
    struct Slot {
      std::uint32_t key = 0;  // Node and byte; 0: free, as no node leads to a root.
      std::int32_t node = 0;
    };

    static std::uint32_t key_of(std::int32_t node, char byte);
    std::size_t place_of(std::uint32_t key) const;
    std::int32_t child(std::int32_t node, char byte) const;  // 0: none.
    std::int32_t make_child(std::int32_t node, char byte);
    void grow();

    std::vector<TokenId> ends_;  // By node: the token that ends there, or -1.
    std::vector<Slot> slots_;
    std::size_t taken_ = 0;
  };

  void encode_word(std::string_view word, std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, std::size_t tokens_max, std::vector<TokenId>& ids) const;

  Tree tree_;
  WholeTokens special_;
  int size_;
  TokenId unknown_;
  std::size_t word_characters_max_;
  BertText text_;
};

}  // namespace spillway::tokenizer
