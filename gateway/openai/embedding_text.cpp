#include "gateway/openai/embedding_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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

std::optional<std::string> bytes_of(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(group >> bits & 0xff));
  }
  return bytes;
}

void to_base64(Json& embedding) {
  if (!embedding.is_array()) return;
  const auto number = [](const Json& value) { return value.is_number(); };
  if (!std::all_of(embedding.begin(), embedding.end(), number)) return;
  std::vector<float> numbers;
  for (const Json& value : embedding) numbers.push_back(value.get<float>());
  const auto* bytes = reinterpret_cast<const char*>(numbers.data());
  embedding = base64_of({bytes, numbers.size() * sizeof(float)});
}

void to_numbers(Json& embedding) {
  if (!embedding.is_string()) return;
  const auto bytes = bytes_of(embedding.get_ref<const std::string&>());
  if (!bytes || bytes->size() % sizeof(float) != 0) return;
  Json numbers = Json::array();
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(float)) {
    float number = 0.0F;
    std::memcpy(&number, bytes->data() + at, sizeof(float));
    numbers.push_back(number);
  }
  embedding = std::move(numbers);
}

}  // namespace

void encode(Json& answer, Encoding encoding) {
  const auto data = answer.find("data");
  if (data == answer.end() || !data->is_array()) return;
  for (Json& item : *data) {
    if (!item.is_object() || !item.contains("embedding")) continue;
    if (encoding == Encoding::base64) to_base64(item["embedding"]);
    if (encoding == Encoding::numbers) to_numbers(item["embedding"]);
  }
}

}  // namespace spillway::openai
