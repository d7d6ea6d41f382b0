// Finds the tokens that are cut out of text whole: special tokens and added words.
//
// Immutable once filled; any thread. Owns copies of the tokens' texts. Gemma has thousands that
// begin alike: a look takes as many lookups as there are lengths, whatever their number.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::tokenizer {

class WholeTokens {
 public:
  struct Rules {
    bool control_only = false;  // Never found in plain text.
    bool single_word = false;   // Not beside a letter, a digit or their like.
    bool takes_left = false;    // The blanks before it are its own,
    bool takes_right = false;   // …or those behind it.
  };
  struct Match {
    std::int32_t id = -1;
    std::size_t length = 0;
    Rules rules;
  };

  // The first of two with the same text counts: then false is returned.
  bool add(std::string_view text, std::int32_t id, Rules rules);

  // The longest token at the start of `text`. One that is control_only must end within the first
  // `control_bytes`.
  Match at(std::string_view text, std::size_t control_bytes) const;

  bool may_start_with(char c) const { return !lengths_[static_cast<unsigned char>(c)].empty(); }
  bool empty() const { return tokens_.empty(); }

 private:
  struct Token {
    std::int32_t id;
    Rules rules;
  };

  std::array<std::vector<std::size_t>, 256> lengths_;  // By the first byte, longest first.
  std::deque<std::string> texts_;
  std::unordered_map<std::string_view, Token> tokens_;
};

}  // namespace spillway::tokenizer
