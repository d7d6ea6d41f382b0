#include "backends/local/tokenizer/spelling.h"

#include "backends/local/tokenizer/byte_alphabet.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace spillway::tokenizer {
namespace {

std::string byte_token(unsigned byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", byte);
  return text;
}

// The byte that a token of characters spells, if it does.
std::optional<char> spelt_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x")) return std::nullopt;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (token == byte_token(byte)) return static_cast<char>(byte);
  }
  return std::nullopt;
}

}  // namespace

std::string bytes_of_token(Writing writing, std::string_view token) {
  if (writing == Writing::bytes) return bytes_from_alphabet(token).value_or(std::string(token));
  if (const auto byte = spelt_byte(token)) return {*byte};
  std::string text;
  while (!token.empty()) {
    if (token.starts_with(kMarkedSpace)) {
      text += ' ';
      token.remove_prefix(kMarkedSpace.size());
    } else {
      text += token.front();
      token.remove_prefix(1);
    }
  }
  return text;
}

std::string with_marked_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      out += kMarkedSpace;
    } else {
      out += c;
    }
  }
  return out;
}

Spelling Spelling::of_bytes(const IdOf& id_of) {
  Spelling spelling(Writing::bytes);
  for (unsigned byte = 0; byte < 256; ++byte) {
    spelling.byte_ids_[byte] = id_of(alphabet_character(static_cast<unsigned char>(byte)));
  }
  return spelling;
}

Spelling Spelling::of_characters(const std::vector<std::string_view>& tokens, const IdOf& id_of,
                                 std::int32_t unknown) {
  Spelling spelling(Writing::characters);
  spelling.unknown_ = unknown;
  for (unsigned byte = 0; byte < 256; ++byte) spelling.byte_ids_[byte] = id_of(byte_token(byte));
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::string_view token = tokens[id];
    if (!token.empty() && length_of_first(token) == token.size())
      spelling.characters_.emplace(packed(token), static_cast<std::int32_t>(id));
  }
  return spelling;
}

std::size_t Spelling::length_of_first(std::string_view text) {
  const auto first = local::utf8::decode(text);
  return first.quality == local::utf8::Quality::whole ? first.length : 1;
}

std::uint32_t Spelling::packed(std::string_view character) {
  std::uint32_t bytes = 0;
  for (const char c : character) bytes = bytes << 8 | static_cast<unsigned char>(c);
  return bytes;
}

std::bitset<256> Spelling::left_out() const {
  std::bitset<256> bytes;
  for (std::size_t byte = 0; byte < bytes.size(); ++byte) bytes[byte] = byte_ids_[byte] < 0;
  if (writing_ == Writing::characters && bytes.any()) bytes.set();
  return bytes;
}

}  // namespace spillway::tokenizer
