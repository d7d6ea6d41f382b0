#include "backends/local/tokenizer/whole_tokens.h"

#include <algorithm>

namespace spillway::tokenizer {

void WholeTokens::add(std::string_view text, std::int32_t id, bool control_only) {
  if (text.empty()) return;
  std::vector<Entry>& entries = by_first_[static_cast<unsigned char>(text[0])];
  const auto shorter = std::ranges::find_if(
      entries, [&](const Entry& entry) { return entry.text.size() < text.size(); });
  entries.insert(shorter, {std::string(text), id, control_only});
  empty_ = false;
}

WholeTokens::Match WholeTokens::at(std::string_view text, std::size_t control_bytes) const {
  for (const Entry& entry : by_first_[static_cast<unsigned char>(text[0])]) {
    if (entry.control_only && entry.text.size() > control_bytes) continue;
    if (text.starts_with(entry.text)) return {entry.id, entry.text.size()};
  }
  return {};
}

}  // namespace spillway::tokenizer
