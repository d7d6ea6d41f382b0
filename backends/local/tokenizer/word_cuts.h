// Where text with marked spaces may be cut into words that merge apart, so that each can be looked
// up on its own.
//
// Immutable once made; any thread. Before a run of ▁ nothing is merged across, but where the
// vocabulary has a merge of just that: Gemma 3 joins ">" and "▁". So a cut is left out behind every
// byte that ends the left half of such a merge, which keeps all ids as they are.
#pragma once

#include <bitset>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::tokenizer {

class WordCuts {
 public:
  explicit WordCuts(const std::vector<std::pair<std::string_view, std::string_view>>& merges);

  // Where the word that starts at `begin` ends: > begin. Requires: begin < text.size().
  std::size_t end(std::string_view text, std::size_t begin) const;

 private:
  std::bitset<256> joins_;  // By a byte: it may be merged with a ▁ behind it.
};

}  // namespace spillway::tokenizer
