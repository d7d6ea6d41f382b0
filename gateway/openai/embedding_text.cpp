#include "gateway/openai/embedding_text.h"

#include "gateway/wire/base64.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

void to_base64(Json& embedding) {
  if (!embedding.is_array()) return;
  const auto number = [](const Json& value) { return value.is_number(); };
  if (!std::all_of(embedding.begin(), embedding.end(), number)) return;
  std::vector<float> numbers;
  for (const Json& value : embedding) numbers.push_back(value.get<float>());
  const auto* bytes = reinterpret_cast<const char*>(numbers.data());
  embedding = wire::base64_of({bytes, numbers.size() * sizeof(float)});
}

void to_numbers(Json& embedding) {
  if (!embedding.is_string()) return;
  const auto bytes = wire::bytes_of_base64(embedding.get_ref<const std::string&>());
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
