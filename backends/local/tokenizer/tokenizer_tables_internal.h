// What a Tokenizer knows, filled once and then only read.
#pragma once

#include "backends/local/tokenizer/bpe.h"
#include "backends/local/tokenizer/section_text.h"
#include "backends/local/tokenizer/tables.h"
#include "backends/local/tokenizer/tokenizer.h"
#include "backends/local/tokenizer/unigram.h"
#include "backends/local/tokenizer/whole_tokens.h"
#include "backends/local/tokenizer/word_cuts.h"

#include <bitset>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::tokenizer {

// A text for each token, one after the other.
class TokenTexts {
 public:
  template <class TextOf>
  TokenTexts(std::span<const std::string_view> tokens, const TextOf& text_of) {
    ends_.reserve(tokens.size());
    for (const std::string_view token : tokens) {
      texts_ += text_of(token);
      ends_.push_back(texts_.size());
    }
  }

  std::string_view operator[](TokenId id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(texts_).substr(begin, ends_[id] - begin);
  }
  int size() const { return static_cast<int>(ends_.size()); }

 private:
  std::string texts_;
  std::vector<std::size_t> ends_;
};

struct Tokenizer::Tables {
  using Model = std::variant<Bpe, Unigram>;

  static constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

  // Requires: ids of `added` are tokens.
  Tables(const Vocabulary& vocabulary, Model&& made, std::bitset<256> never_told);

  // It has so many bytes that its tokens, however long, are more.
  bool surely_exceeds(std::string_view text, std::size_t tokens_max) const;

  TokenTexts bytes;
  TokenTexts spelt;  // With ▁ for spaces, of characters.
  std::vector<bool> special;
  SectionText text;
  WholeTokens whole;
  WholeTokens whole_normalized;              // Of what the normalizers made of the rest.
  bool finds_special_in_normalized = false;  // Some of these are.
  PieceTable pieces;                         // Of BPE.
  std::size_t bytes_of_one = 1;              // Of text that one token can stand for.
  std::bitset<256> left_out;                 // Of text: becomes no token.
  Model model;
  WordCuts cuts;  // Of BPE.
  std::vector<SplitRule> split;
  Writing writing;
  DroppedSpaces dropped_spaces;

 private:
  void add_whole(const Vocabulary& vocabulary, const AddedToken& added);
  std::size_t longest_of(const Vocabulary& vocabulary) const;
  void fill_pieces(const Vocabulary& vocabulary, const Bpe& bpe);
};

}  // namespace spillway::tokenizer
