#include "backends/local/loader/metadata.h"

#include <cstring>
#include <limits>

namespace spillway::loader {
namespace {

Error wrong(std::string_view key, std::string_view what) {
  return Error{Errc::internal, "metadata key \"" + std::string(key) + "\" " + std::string(what)};
}

template <class T>
T read_as(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Reads one integer element at `at`; nothing if it is not an integer or does not fit.
std::optional<std::int64_t> integer_at(ValueType type, const std::byte* at) {
  switch (type) {
    case ValueType::uint8: return read_as<std::uint8_t>(at);
    case ValueType::int8: return read_as<std::int8_t>(at);
    case ValueType::uint16: return read_as<std::uint16_t>(at);
    case ValueType::int16: return read_as<std::int16_t>(at);
    case ValueType::uint32: return read_as<std::uint32_t>(at);
    case ValueType::int32: return read_as<std::int32_t>(at);
    case ValueType::int64: return read_as<std::int64_t>(at);
    case ValueType::uint64: {
      const auto value = read_as<std::uint64_t>(at);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> number_at(ValueType type, const std::byte* at) {
  if (type == ValueType::float32) return read_as<float>(at);
  if (type == ValueType::float64) return read_as<double>(at);
  const auto whole = integer_at(type, at);
  if (!whole) return std::nullopt;
  return static_cast<double>(*whole);
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Elements of a numeric array, each through `read`.
template <class T, class Read>
Result<std::vector<T>> elements(std::string_view key, const MetadataValue* value, Read read) {
  if (!value) return wrong(key, "is missing");
  if (value->type != ValueType::array) return wrong(key, "is not an array");
  std::vector<T> out;
  out.reserve(value->count);
  const std::size_t width = value->count ? value->payload.size() / value->count : 0;
  for (std::uint64_t i = 0; i < value->count; ++i) {
    const auto element = read(value->element, value->payload.data() + i * width);
    if (!element) return wrong(key, "holds an element that is not a number in range");
    out.push_back(*element);
  }
  return out;
}

}  // namespace

const MetadataValue* Metadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

bool Metadata::add(std::string_view key, const MetadataValue& value) {
  return values_.emplace(std::string(key), value).second;
}

bool Metadata::keep(std::string_view key, MetadataValue value, std::span<const std::byte> bytes) {
  value.payload = kept_.emplace_back(bytes.begin(), bytes.end());
  return add(key, value);
}

bool Metadata::add_text(std::string_view key, std::string_view value) {
  return keep(key, {ValueType::string, ValueType::string, 1, {}}, std::as_bytes(std::span(value)));
}

bool Metadata::add_integer(std::string_view key, std::int64_t value) {
  return keep(key, {ValueType::int64, ValueType::int64, 1, {}},
              std::as_bytes(std::span(&value, 1)));
}

bool Metadata::add_number(std::string_view key, double value) {
  return keep(key, {ValueType::float64, ValueType::float64, 1, {}},
              std::as_bytes(std::span(&value, 1)));
}

bool Metadata::add_flag(std::string_view key, bool value) {
  const std::byte byte{value ? std::uint8_t{1} : std::uint8_t{0}};
  return keep(key, {ValueType::boolean, ValueType::boolean, 1, {}}, std::span(&byte, 1));
}

bool Metadata::add_integers(std::string_view key, std::span<const std::int64_t> values) {
  return keep(key, {ValueType::array, ValueType::int64, values.size(), {}}, std::as_bytes(values));
}

Result<std::string_view> Metadata::text(std::string_view key,
                                        std::optional<std::string_view> fallback) const {
  const MetadataValue* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) return wrong(key, "is missing");
  if (value->type != ValueType::string) return wrong(key, "is not a string");
  return as_text(value->payload);
}

Result<std::int64_t> Metadata::integer(std::string_view key,
                                       std::optional<std::int64_t> fallback) const {
  const MetadataValue* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) return wrong(key, "is missing");
  const auto whole = integer_at(value->type, value->payload.data());
  if (!whole) return wrong(key, "is not an integer in range");
  return *whole;
}

Result<double> Metadata::number(std::string_view key, std::optional<double> fallback) const {
  const MetadataValue* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) return wrong(key, "is missing");
  const auto real = number_at(value->type, value->payload.data());
  if (!real) return wrong(key, "is not a number");
  return *real;
}

Result<bool> Metadata::flag(std::string_view key, std::optional<bool> fallback) const {
  const MetadataValue* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) return wrong(key, "is missing");
  if (value->type != ValueType::boolean) return wrong(key, "is not true or false");
  return value->payload[0] != std::byte{0};
}

Result<std::vector<std::string_view>> Metadata::texts(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return wrong(key, "is missing");
  if (value->type != ValueType::array || value->element != ValueType::string) {
    return wrong(key, "is not an array of strings");
  }
  std::vector<std::string_view> out;
  out.reserve(value->count);
  std::span<const std::byte> rest =
      value->payload;  // Lengths were checked when the file was opened.
  for (std::uint64_t i = 0; i < value->count; ++i) {
    const auto length = static_cast<std::size_t>(read_as<std::uint64_t>(rest.data()));
    out.push_back(as_text(rest.subspan(sizeof(std::uint64_t), length)));
    rest = rest.subspan(sizeof(std::uint64_t) + length);
  }
  return out;
}

Result<std::vector<std::int64_t>> Metadata::integers(std::string_view key) const {
  return elements<std::int64_t>(key, find(key), integer_at);
}

Result<std::vector<double>> Metadata::numbers(std::string_view key) const {
  return elements<double>(key, find(key), number_at);
}

}  // namespace spillway::loader
