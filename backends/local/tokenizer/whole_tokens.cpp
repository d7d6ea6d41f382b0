#include "backends/local/tokenizer/whole_tokens.h"

#include <algorithm>
#include <functional>

namespace spillway::tokenizer {

void WholeTokens::add(std::string_view text, std::int32_t id, bool control_only) {
  if (text.empty() || tokens_.contains(text)) return;
  tokens_.emplace(texts_.emplace_back(text), Token{id, control_only});
  std::vector<std::size_t>& lengths = lengths_[static_cast<unsigned char>(text[0])];
  const auto place = std::ranges::lower_bound(lengths, text.size(), std::greater<>());
  if (place == lengths.end() || *place != text.size()) lengths.insert(place, text.size());
}

WholeTokens::Match WholeTokens::at(std::string_view text, std::size_t control_bytes) const {
  for (const std::size_t length : lengths_[static_cast<unsigned char>(text[0])]) {
    if (length > text.size()) continue;
    const auto found = tokens_.find(text.substr(0, length));
    if (found == tokens_.end()) continue;
    const auto [id, control_only] = found->second;
    if (!control_only || length <= control_bytes) return {id, length};
  }
  return {};
}

}  // namespace spillway::tokenizer
