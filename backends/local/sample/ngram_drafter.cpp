#include "backends/local/sample/ngram_drafter.h"

namespace spillway::local {

void NgramDrafter::Record::add(bool is_right) {
  constexpr double kKept = 1.0 - 1.0 / 16.0;
  right = kKept * right + (is_right ? 1.0 : 0.0);
  looked = kKept * looked + 1.0;
}

NgramDrafter::NgramDrafter(DraftLimits limits)
    : limits_(limits), records_(static_cast<std::size_t>(limits.longest)) {}

void NgramDrafter::look(std::span<const std::int32_t> text) {
  if (found_ > 0) record().add(text[next_] == text.back());
  find(text);
}

int NgramDrafter::worth(double cost) const {
  if (found_ == 0) return 0;
  const Record& of_alike = records_[static_cast<std::size_t>(found_) - 1];
  const double each = of_alike.right / of_alike.looked;
  int drafts = 0;
  for (double chance = each; drafts < limits_.drafts && chance > cost; chance *= each) ++drafts;
  return drafts;
}

void NgramDrafter::find(std::span<const std::int32_t> text) {
  found_ = 0;
  const std::size_t last = text.size() - 1;
  const auto longest = static_cast<std::size_t>(limits_.longest);
  for (std::size_t at = last; at-- > 0;) {
    if (text[at] != text[last]) continue;
    std::size_t alike = 1;
    while (alike < longest && alike <= at && text[at - alike] == text[last - alike]) ++alike;
    if (static_cast<int>(alike) <= found_) continue;
    found_ = static_cast<int>(alike);
    next_ = at + 1;
    if (alike == longest) return;
  }
}

}  // namespace spillway::local
