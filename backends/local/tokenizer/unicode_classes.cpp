#include "backends/local/tokenizer/unicode_classes.h"

#include "backends/local/tokenizer/unicode_ranges.h"

#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kCodePoints = 0x110000;
constexpr std::size_t kPageSize = 256;

// Two-stage table: most of the 4,352 pages are alike, so 40 KB hold what would be 1.1 MB.
class ClassTable {
 public:
  ClassTable() {
    std::vector<ClassSet> all(kCodePoints);
    mark(all, letter_ranges, kLetter);
    mark(all, number_ranges, kNumber);
    mark(all, space_ranges, kSpace);
    mark(all, mark_ranges, kMark);
    mark(all, punctuation_ranges, kPunctuation);
    mark(all, symbol_ranges, kSymbol);
    mark(all, uppercase_ranges, kUppercase);
    mark(all, digit_ranges, kDigit);
    fold(all);
  }

  ClassSet operator[](char32_t code_point) const {
    if (code_point >= kCodePoints) return 0;
    return pages_[page_of_[code_point / kPageSize]][code_point % kPageSize];
  }

 private:
  using Page = std::array<ClassSet, kPageSize>;

  static void mark(std::vector<ClassSet>& all, std::span<const std::uint32_t> steps, ClassSet bit) {
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < steps.size(); i += 2) {
      at += steps[i];
      for (std::size_t end = at + steps[i + 1]; at < end; ++at) all[at] |= bit;
    }
  }

  void fold(const std::vector<ClassSet>& all) {
    std::map<Page, std::uint16_t> seen;
    for (std::size_t p = 0; p < page_of_.size(); ++p) {
      Page page;
      for (std::size_t i = 0; i < kPageSize; ++i) page[i] = all[p * kPageSize + i];
      const auto [entry, is_new] = seen.emplace(page, static_cast<std::uint16_t>(pages_.size()));
      if (is_new) pages_.push_back(page);
      page_of_[p] = entry->second;
    }
  }

  std::array<std::uint16_t, kCodePoints / kPageSize> page_of_{};
  std::vector<Page> pages_;
};

}  // namespace

ClassSet classes_of(char32_t code_point) {
  static const ClassTable table;
  return table[code_point];
}

}  // namespace spillway::tokenizer
