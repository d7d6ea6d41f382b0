#include "gateway/wire/normalized_bytes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace spillway::wire {
namespace {

// The characters whose NFC or NFKC is longer, in UTF-8, and by how many bytes at most. The marks
// from U+031B on part others from the letter that they were written with.
struct Growth {
  std::uint32_t first, last;
  std::size_t bytes;
};
constexpr std::array<Growth, 72> kGrowths = {{
    {0xA8, 0xA8, 1},       {0xAF, 0xAF, 1},       {0xB4, 0xB4, 1},       {0xB8, 0xB8, 1},
    {0xBC, 0xBE, 3},       {0x13F, 0x140, 1},     {0x149, 0x149, 1},     {0x1C4, 0x1C6, 1},
    {0x2D8, 0x2DD, 1},     {0x31B, 0x331, 3},     {0x344, 0x344, 2},     {0x37A, 0x37A, 1},
    {0x384, 0x385, 3},     {0x587, 0x587, 2},     {0x675, 0x678, 2},     {0x958, 0x95F, 3},
    {0x9DC, 0x9DF, 3},     {0xA33, 0xA33, 3},     {0xA36, 0xA36, 3},     {0xA59, 0xA5B, 3},
    {0xA5E, 0xA5E, 3},     {0xB5C, 0xB5D, 3},     {0xE33, 0xE33, 3},     {0xEB3, 0xEB3, 3},
    {0xEDC, 0xEDD, 3},     {0xF43, 0xF43, 3},     {0xF4D, 0xF4D, 3},     {0xF52, 0xF52, 3},
    {0xF57, 0xF57, 3},     {0xF5C, 0xF5C, 3},     {0xF69, 0xF69, 3},     {0xF73, 0xF73, 3},
    {0xF75, 0xF79, 6},     {0xF81, 0xF81, 3},     {0xF93, 0xF93, 3},     {0xF9D, 0xF9D, 3},
    {0xFA2, 0xFA2, 3},     {0xFA7, 0xFA7, 3},     {0xFAC, 0xFAC, 3},     {0xFB9, 0xFB9, 3},
    {0x1FC1, 0x1FC1, 2},   {0x1FCD, 0x1FCF, 2},   {0x1FDD, 0x1FDF, 2},   {0x1FED, 0x1FEE, 2},
    {0x2033, 0x2037, 6},   {0x2057, 0x2057, 9},   {0x2150, 0x2189, 3},   {0x222C, 0x2230, 6},
    {0x247D, 0x2487, 1},   {0x2A0C, 0x2A0C, 9},   {0x2ADC, 0x2ADC, 2},   {0x309B, 0x309F, 3},
    {0x30FF, 0x30FF, 3},   {0x3200, 0x3243, 5},   {0x327C, 0x327D, 3},   {0x32C0, 0x32CB, 2},
    {0x32FF, 0x3357, 15},  {0x3358, 0x3370, 2},   {0x337B, 0x337F, 9},   {0x3389, 0x33FE, 5},
    {0xFA6C, 0xFAD7, 1},   {0xFB13, 0xFB4F, 3},   {0xFBDD, 0xFDC7, 3},   {0xFDF0, 0xFDF9, 5},
    {0xFDFA, 0xFDFA, 30},  {0xFDFB, 0xFDFC, 12},  {0xFE71, 0xFE7F, 1},   {0xFEF5, 0xFEFC, 1},
    {0x1D15E, 0x1D164, 8}, {0x1D1BB, 0x1D1C0, 8}, {0x1F12A, 0x1F12A, 3}, {0x1F200, 0x1F248, 5},
}};

std::size_t growth_of(std::uint32_t character) {
  const auto* const row =
      std::lower_bound(kGrowths.begin(), kGrowths.end(), character,
                       [](const Growth& one, std::uint32_t value) { return one.last < value; });
  return row != kGrowths.end() && character >= row->first ? row->bytes : 0;
}

// Where the next byte is that is no ASCII.
std::size_t beyond_ascii(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::uint64_t eight = 0;
  for (; at + sizeof eight <= text.size(); at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & kHighBits) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

struct Character {
  std::uint32_t value;
  std::size_t bytes;
};

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0xE0) return {(lead & 0x1FU) << 6U | (byte(1) & 0x3FU), 2};
  const std::uint32_t two = (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
  if (lead < 0xF0) return {(lead & 0xFU) << 12U | two, 3};
  return {(lead & 7U) << 18U | two << 6U | (byte(3) & 0x3FU), 4};
}

// "\ufdfa" has six bytes, three more than its character; two of them never become more.
std::size_t growth_of_escapes(std::string_view text) {
  constexpr std::size_t kDigits = 4, kMoreThanItself = 3;
  std::size_t bytes = 0;
  for (auto at = text.find("\\u"); at != text.npos; at = text.find("\\u", at + 2)) {
    const std::string_view digits = text.substr(at + 2, kDigits);
    std::uint32_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    bytes += std::max(growth_of(value), kMoreThanItself) - kMoreThanItself;
  }
  return bytes;
}

}  // namespace

std::size_t normalized_bytes_max(std::string_view text) {
  std::size_t bytes = text.size() + growth_of_escapes(text);
  for (std::size_t at = beyond_ascii(text, 0); at < text.size(); at = beyond_ascii(text, at)) {
    const Character character = character_at(text, at);
    bytes += growth_of(character.value);
    at += character.bytes;
  }
  return bytes;
}

}  // namespace spillway::wire
