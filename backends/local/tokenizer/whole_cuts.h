// Where a text is cut by the tokens that are found in it whole (whole_tokens.h), as the
// `tokenizers` library has it.
//
// One object a text, used by one thread; refers to the tokens and to the text. The whole walk takes
// time that is linear in the text.
#pragma once

#include "backends/local/tokenizer/whole_tokens.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::tokenizer {

// A run of text that is all control text or all plain; `end` counts from the text's start.
struct Stretch {
  std::size_t end;
  bool control;
};

class WholeCuts {
 public:
  struct Cut {
    std::size_t begin;  // Of the text before the token: there may be none.
    std::size_t end;
    std::int32_t id;  // -1: there is no other token.
  };

  // Requires: the last stretch ends with the text.
  WholeCuts(const WholeTokens& tokens, std::string_view text, std::span<const Stretch> stretches)
      : tokens_(tokens), text_(text), stretches_(tokens.empty() ? stretches.last(0) : stretches) {}

  Cut next();

 private:
  bool stands_alone(std::size_t begin, std::size_t end) const;
  std::size_t without_blanks_before(std::size_t begin) const;
  std::size_t behind_blanks(std::size_t end);

  const WholeTokens& tokens_;
  const std::string_view text_;
  std::span<const Stretch> stretches_;  // Those that are still to be looked at.
  std::size_t at_ = 0;
  std::size_t told_ = 0;    // Up to here the text is in cuts. Blanks may be a second time.
  std::size_t blanks_ = 0;  // Where those end that a token took last.
};

}  // namespace spillway::tokenizer
