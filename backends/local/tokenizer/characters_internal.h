// Text one character at a time, as the rules that cut it see it.
//
// Pure; any thread. A byte that is no character is in no class.
#pragma once

#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace spillway::tokenizer {

constexpr bool is_ascii_letter(char32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

constexpr ClassSet ascii_classes(unsigned c) {
  if (is_ascii_letter(c)) return c >= 'a' ? kLower : kUpper;
  if (c >= '0' && c <= '9') return kNumber | kDigit;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return kSpace;
  if (c <= ' ' || c == 127) return 0;
  return std::string_view("$+<=>^`|~").find(static_cast<char>(c)) == std::string_view::npos
             ? kPunctuation
             : kSymbol;
}

// What the rules ask of ASCII, without the way through the big table.
inline constexpr auto kAscii = [] {
  std::array<ClassSet, 128> classes{};
  for (unsigned c = 0; c < classes.size(); ++c) classes[c] = ascii_classes(c);
  return classes;
}();

struct Character {
  char32_t code = 0;
  ClassSet classes = 0;
  std::size_t length = 0;  // 0 at the end of the text.

  bool exists() const { return length != 0; }
  bool is(ClassSet any_of) const { return (classes & any_of) != 0; }
  bool is_newline() const { return exists() && (code == '\r' || code == '\n'); }
  // [^\s\p{L}\p{N}]
  bool is_other() const { return exists() && !is(kLetter | kNumber | kSpace); }
};

inline Character character_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 128) return {byte, kAscii[byte], 1};
  const auto decoded = local::utf8::decode_long(text.substr(at));
  if (decoded.quality != local::utf8::Quality::whole) return {0xFFFFFFFF, 0, 1};
  return {decoded.code, classes_of(decoded.code), decoded.length};
}

}  // namespace spillway::tokenizer
