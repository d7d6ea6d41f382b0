// Finds the tokens that are cut out of text whole, before anything else is done to it: special
// tokens and added words.
//
// Immutable once filled; any thread. Owns copies of the tokens' texts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class WholeTokens {
 public:
  struct Match {
    std::int32_t id = -1;
    std::size_t length = 0;
  };

  // `control_only`: never found in plain text.
  void add(std::string_view text, std::int32_t id, bool control_only);

  // The longest token at the start of `text`. One that is control_only must end within the first
  // `control_bytes`.
  Match at(std::string_view text, std::size_t control_bytes) const;

  bool may_start_with(char c) const { return !by_first_[static_cast<unsigned char>(c)].empty(); }
  bool empty() const { return empty_; }

 private:
  struct Entry {
    std::string text;
    std::int32_t id;
    bool control_only;
  };

  std::array<std::vector<Entry>, 256> by_first_;  // Longest first.
  bool empty_ = true;
};

}  // namespace spillway::tokenizer
