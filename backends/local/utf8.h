// UTF-8 one character at a time, strict: no overlong forms, no surrogates, nothing above U+10FFFF.
//
// Pure inline functions over bytes of any quality; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::local::utf8 {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

enum class Quality : std::uint8_t {
  whole,    // A character.
  cut_off,  // The text ends inside what may yet become a character.
  broken,   // No character starts like this.
};

struct Character {
  char32_t code = 0;        // Only of a whole character.
  std::uint8_t length = 0;  // Bytes; of a broken one, those that lossy decoding replaces together.
  Quality quality = Quality::broken;
};

// The multi-byte case of decode.
inline Character decode_long(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return {0, 1, Quality::broken};
  const std::uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code = lead & (0x7F >> length);
  unsigned char low = 0x80;  // Bounds of the second byte keep out overlong forms and surrogates.
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (std::uint8_t i = 1; i < length; ++i) {
    if (i >= text.size()) return {0, i, Quality::cut_off};
    if (byte(i) < low || byte(i) > high) return {0, i, Quality::broken};
    code = code << 6 | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, length, Quality::whole};
}

// The first character. Requires: text is not empty.
inline Character decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, Quality::whole};
  return decode_long(text);
}

// Requires: code is a Unicode scalar value.
inline void append(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace spillway::local::utf8
