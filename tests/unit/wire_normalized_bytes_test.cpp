#include "backends/local/tokenizer/composed_form.h"
#include "gateway/wire/normalized_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace spillway::wire {
namespace {

std::string utf8(char32_t c) {
  const auto tail = [c](unsigned shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

std::size_t composed_bytes(const std::string& text) {
  return std::max(tokenizer::composed_form(text).size(),
                  tokenizer::composed_form(text, true).size());
}

TEST(NormalizedBytes, NoCharacterGrowsBeyondThem) {
  for (char32_t c = 1; c < 0x30000; ++c) {  // Beyond them are no letters.
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = utf8(c);
    ASSERT_LE(composed_bytes(text), normalized_bytes_max(text)) << std::hex << std::uint32_t{c};
  }
}

// A mark that goes nearer to the letter leaves another without one.
TEST(NormalizedBytes, NorDoesALetterByTheMarkAfterIt) {
  for (char32_t letter = 0xC0; letter < 0x2000; ++letter) {
    if (letter >= 0x460 && letter < 0x1E00) continue;  // These have no marks that move.
    for (char32_t mark = 0x300; mark < 0x370; ++mark) {
      const std::string text = utf8(letter) + utf8(mark);
      ASSERT_LE(composed_bytes(text), normalized_bytes_max(text))
          << std::hex << std::uint32_t{letter} << ' ' << std::uint32_t{mark};
    }
  }
}

TEST(NormalizedBytes, OrdinaryTextsKeepTheirLength) {
  for (const std::string text : {"", "plain", "Çà et là, ça va", "Ngôn ngữ tiếng Việt", "한국어",
                                 "日本語です", "हिन्दी", "Привет, мир", R"({"a":"\n\u00e9\u4e00"})"})
    EXPECT_EQ(normalized_bytes_max(text), text.size()) << text;
  EXPECT_EQ(normalized_bytes_max("abcdefgh\u0fa2!"), 15U);
}

TEST(NormalizedBytes, EscapesAreLookedInto) {
  EXPECT_EQ(normalized_bytes_max(R"("\ufdfa")"), 2U + 33);
  EXPECT_EQ(normalized_bytes_max(R"("\u0fa2")"), 2U + 6);
  for (const std::string cut : {"\\u", "\\ufd", "\xe0\xbe", "\xf0"})
    EXPECT_GE(normalized_bytes_max(cut), cut.size());
}

}  // namespace
}  // namespace spillway::wire
