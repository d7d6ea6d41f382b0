// Which of up to eight classes each code point is in.
//
// Immutable once made; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

namespace spillway::tokenizer {

// Two-stage table: most of the 4,352 pages are alike, so 40 KB hold what would be 1.1 MB.
class ClassTable {
 public:
  // Code points to skip and to take, alternately, from U+0000 on; those taken get the bit.
  struct Class {
    std::span<const std::uint32_t> steps;
    std::uint8_t bit;
  };

  explicit ClassTable(std::initializer_list<Class> classes);

  // No bits for anything above U+10FFFF.
  std::uint8_t operator[](char32_t code_point) const {
    if (code_point >= kCodePoints) return 0;
    return pages_[page_of_[code_point / kPageSize]][code_point % kPageSize];
  }

 private:
  static constexpr std::size_t kCodePoints = 0x110000;
  static constexpr std::size_t kPageSize = 256;
  using Page = std::array<std::uint8_t, kPageSize>;

  void fold(const std::vector<std::uint8_t>& all);

  std::array<std::uint16_t, kCodePoints / kPageSize> page_of_{};
  std::vector<Page> pages_;
};

}  // namespace spillway::tokenizer
