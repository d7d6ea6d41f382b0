#include "backends/local/tokenizer/word_cuts.h"

#include "backends/local/tokenizer/spelling.h"

#include <algorithm>

namespace spillway::tokenizer {

WordCuts::WordCuts(const std::vector<std::pair<std::string_view, std::string_view>>& merges) {
  for (const auto& [left, right] : merges) {
    if (!left.empty() && right.starts_with(kMarkedSpace) && !left.ends_with(kMarkedSpace))
      joins_.set(static_cast<unsigned char>(left.back()));
  }
}

std::size_t WordCuts::end(std::string_view text, std::size_t begin) const {
  std::size_t at = begin;
  do {
    while (text.substr(at).starts_with(kMarkedSpace)) at += kMarkedSpace.size();
    at = std::min(text.find(kMarkedSpace, at), text.size());
  } while (at < text.size() && joins_[static_cast<unsigned char>(text[at - 1])]);
  return at;
}

}  // namespace spillway::tokenizer
