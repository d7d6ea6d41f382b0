// A rule for cutting text that is one class of characters: \p{N}{1,3}, [一-龥]+, \s?[!-/:-~]+.
//
// A plain value; any thread. DeepSeek's tokenizers are lists of such.
#pragma once

#include "backends/local/tokenizer/unicode_classes.h"

#include <bitset>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::tokenizer {

struct Character;

class ClassRun {
 public:
  // Nothing if the pattern is another than: \s? or not, then \p{…} or […] of characters, ranges
  // and \p{…}, then nothing, + or {1,…}.
  static std::optional<ClassRun> of_pattern(std::string_view pattern);

  // The end of the run that begins at `at`, or `at` if none does.
  std::size_t match_end(std::string_view text, std::size_t at) const;

  // Where the next run begins, from `at` on, or the text's end.
  std::size_t find(std::string_view text, std::size_t at) const;

 private:
  friend class ClassRunReader;

  bool holds(const Character& character) const;
  std::size_t run_end(std::string_view text, std::size_t at) const;

  bool takes_space_ = false;
  std::bitset<128> ascii_;
  std::bitset<128> may_begin_;  // These, and the spaces that it takes.
  ClassSet classes_ = 0;
  std::vector<std::pair<char32_t, char32_t>> ranges_;  // First and last; sorted, none in another.
  std::size_t count_max_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace spillway::tokenizer
