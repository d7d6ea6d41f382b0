#include "backends/local/tokenizer/whole_tokens.h"

#include <algorithm>
#include <functional>

namespace spillway::tokenizer {

bool WholeTokens::add(std::string_view text, std::int32_t id, Rules rules) {
  if (text.empty() || tokens_.contains(text)) return false;
  tokens_.emplace(texts_.emplace_back(text), Token{id, rules});
  std::vector<std::size_t>& lengths = lengths_[static_cast<unsigned char>(text[0])];
  const auto place = std::ranges::lower_bound(lengths, text.size(), std::greater<>());
  if (place == lengths.end() || *place != text.size()) lengths.insert(place, text.size());
  return true;
}

WholeTokens::Match WholeTokens::at(std::string_view text, std::size_t control_bytes) const {
  for (const std::size_t length : lengths_[static_cast<unsigned char>(text[0])]) {
    if (length > text.size()) continue;
    const auto found = tokens_.find(text.substr(0, length));
    if (found == tokens_.end()) continue;
    const auto& [id, rules] = found->second;
    if (!rules.control_only || length <= control_bytes) return {id, length, rules};
  }
  return {};
}

}  // namespace spillway::tokenizer
