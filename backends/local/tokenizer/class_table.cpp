#include "backends/local/tokenizer/class_table.h"

#include <map>

namespace spillway::tokenizer {

ClassTable::ClassTable(std::initializer_list<Class> classes) {
  std::vector<std::uint8_t> all(kCodePoints);
  for (const auto& [steps, bit] : classes) {
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < steps.size(); i += 2) {
      at += steps[i];
      for (std::size_t end = at + steps[i + 1]; at < end; ++at) all[at] |= bit;
    }
  }
  fold(all);
}

void ClassTable::fold(const std::vector<std::uint8_t>& all) {
  std::map<Page, std::uint16_t> seen;
  for (std::size_t p = 0; p < page_of_.size(); ++p) {
    Page page;
    for (std::size_t i = 0; i < kPageSize; ++i) page[i] = all[p * kPageSize + i];
    const auto [entry, is_new] = seen.emplace(page, static_cast<std::uint16_t>(pages_.size()));
    if (is_new) pages_.push_back(page);
    page_of_[p] = entry->second;
  }
}

}  // namespace spillway::tokenizer
