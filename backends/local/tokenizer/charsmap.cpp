#include "backends/local/tokenizer/charsmap.h"

#include "backends/local/tokenizer/grapheme.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kShortGrapheme = 6;  // From here on characters are looked at one by one.

Error wrong(const std::string& what) {
  return Error{Errc::internal, "tokenizer.json: precompiled_charsmap " + what};
}

std::optional<std::uint32_t> bits_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

std::optional<std::string> bytes_of_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t held = 0;
  int held_bits = 0;
  for (const char c : text) {
    const auto bits = bits_of(c);
    if (!bits) return std::nullopt;
    held = held << 6 | *bits;
    held_bits += 6;
    if (held_bits < 8) continue;
    held_bits -= 8;
    bytes.push_back(static_cast<char>(held >> held_bits & 0xFF));
  }
  return bytes;
}

std::uint32_t word_at(std::string_view bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = 4; i-- > 0;) word = word << 8 | static_cast<unsigned char>(bytes[at + i]);
  return word;
}

// Fields of a double array's unit.
std::uint32_t label(std::uint32_t unit) { return unit & 0x800000FF; }
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t offset(std::uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
std::uint32_t value(std::uint32_t unit) { return unit & 0x7FFFFFFF; }

bool is_printable(unsigned char c) { return c >= 0x20 && c < 0x7F; }

}  // namespace

Result<Charsmap> Charsmap::from_base64(std::string_view text) {
  const auto bytes = bytes_of_base64(text);
  if (!bytes) return wrong("is no base64");
  constexpr std::size_t kHead = 4;
  const std::size_t size = bytes->size() < kHead ? 0 : word_at(*bytes, 0);
  if (size == 0 || size % 4 != 0 || size > bytes->size() - kHead)
    return wrong("does not hold as much as it says");
  std::vector<std::uint32_t> units;
  units.reserve(size / 4);
  for (std::size_t at = kHead; at < kHead + size; at += 4) units.push_back(word_at(*bytes, at));
  return Charsmap(std::move(units), bytes->substr(kHead + size));
}

Charsmap::Charsmap(std::vector<std::uint32_t> units, std::string texts)
    : units_(std::move(units)), texts_(std::move(texts)), stays_alone_{} {
  for (std::size_t c = 0; c < stays_alone_.size(); ++c) {
    const char text = static_cast<char>(c);
    stays_alone_[c] = is_printable(static_cast<unsigned char>(c)) && !anew({&text, 1});
  }
}

std::optional<std::string_view> Charsmap::anew(std::string_view text) const {
  std::uint32_t at = offset(units_[0]);
  for (const char c : text) {
    at ^= static_cast<unsigned char>(c);
    if (c == 0 || at >= units_.size()) break;
    const std::uint32_t unit = units_[at];
    if (label(unit) != static_cast<unsigned char>(c)) break;
    at ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (at >= units_.size() || value(units_[at]) > texts_.size()) break;
    const std::string_view from = std::string_view(texts_).substr(value(units_[at]));
    return from.substr(0, from.find('\0'));
  }
  return std::nullopt;
}

std::string Charsmap::applied_to(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    // No mark is ASCII: what has such a character behind it is a grapheme.
    const auto stays = [&](char c) { return stays_alone_[static_cast<unsigned char>(c)]; };
    const bool alone =
        stays(text[0]) && (text.size() == 1 || static_cast<signed char>(text[1]) >= 0);
    const std::size_t length = alone ? 1 : first_grapheme(text);
    if (alone) {
      out.push_back(text[0]);
    } else {
      put_grapheme(text.substr(0, length), out);
    }
    text.remove_prefix(length);
  }
  return out;
}

void Charsmap::put_grapheme(std::string_view grapheme, std::string& out) const {
  const auto whole = grapheme.size() < kShortGrapheme ? anew(grapheme) : std::nullopt;
  if (whole) {
    out += *whole;
    return;
  }
  while (!grapheme.empty()) {
    const auto character = grapheme.substr(0, local::utf8::decode(grapheme).length);
    out += anew(character).value_or(character);
    grapheme.remove_prefix(character.size());
  }
}

}  // namespace spillway::tokenizer
