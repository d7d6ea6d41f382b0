#include "gateway/wire/base64.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace spillway::wire {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr int kNoDigit = -1;

constexpr std::array<std::int8_t, 256> digits_by_byte() {
  std::array<std::int8_t, 256> digits = {};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kDigits.size(); ++i)
    digits[static_cast<unsigned char>(kDigits[i])] = static_cast<std::int8_t>(i);
  return digits;
}
constexpr std::array<std::int8_t, 256> kValues = digits_by_byte();

int value_of(char c) { return kValues[static_cast<unsigned char>(c)]; }

std::string_view without_padding(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string base64_of(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      text.push_back(i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=');
  }
  return text;
}

std::optional<std::string> bytes_of_base64(std::string_view text) {
  text = without_padding(text);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const int digit = value_of(c);
    if (digit == kNoDigit) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(group >> bits & 0xff));
  }
  return bytes;
}

std::string_view base64_in(std::string_view data) {
  constexpr std::string_view kBefore = ";base64,";
  if (data.starts_with("data:")) {
    const auto before = data.find(kBefore);
    if (before == data.npos) return {};
    data.remove_prefix(before + kBefore.size());
  }
  const std::string_view digits = without_padding(data);
  const bool is_it =
      std::all_of(digits.begin(), digits.end(), [](char c) { return value_of(c) != kNoDigit; });
  return is_it ? data : std::string_view();
}

}  // namespace spillway::wire
