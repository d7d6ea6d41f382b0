#include "backends/local/tokenizer/byte_alphabet.h"

#include "backends/local/utf8.h"

#include <array>
#include <cstdint>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kCharacters = 256 + 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr auto kCharacterOf = [] {
  std::array<char32_t, 256> characters{};
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    characters[byte] = stands_for_itself(byte) ? byte : next++;
  }
  return characters;
}();

constexpr auto kByteOf = [] {
  std::array<std::int16_t, kCharacters> bytes{};
  bytes.fill(-1);
  for (unsigned byte = 0; byte < 256; ++byte)
    bytes[kCharacterOf[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}();

}  // namespace

std::string alphabet_character(unsigned char byte) {
  std::string out;
  local::utf8::append(out, kCharacterOf[byte]);
  return out;
}

std::optional<std::string> bytes_from_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    if (character.quality != local::utf8::Quality::whole) return std::nullopt;
    if (character.code >= kCharacters || kByteOf[character.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOf[character.code]));
    text.remove_prefix(character.length);
  }
  return bytes;
}

}  // namespace spillway::tokenizer
