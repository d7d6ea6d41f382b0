#include "gateway/wire/fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace spillway::wire {
namespace {

std::string text_of(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string text_of(const Fields::Range& range) {
  const std::string least = (range.above_min ? "greater than " : "at least ") + text_of(range.min);
  if (std::isinf(range.max)) return least;
  return (range.above_min ? least + " and at most " : "between " + text_of(range.min) + " and ") +
         text_of(range.max);
}

// In characters: the bytes of UTF-8 that begin one.
bool fits(std::string_view text, std::size_t characters_max) {
  if (text.size() <= characters_max) return true;
  const auto begun =
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
  return static_cast<std::size_t>(begun) <= characters_max;
}

}  // namespace

Fields::Fields(Json& object, std::string path, std::optional<Error>& error)
    : object_(object), path_(std::move(path)), error_(error) {}

Json* Fields::any(std::string_view name) {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Json* Fields::object(std::string_view name) {
  Json* value = any(name);
  if (value == nullptr || value->is_object()) return value;
  fail_type(name, "an object", *value);
  return nullptr;
}

Json* Fields::array(std::string_view name, std::size_t size_max) {
  Json* value = any(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    fail_type(name, "an array", *value);
    return nullptr;
  }
  if (value->size() > size_max) {
    fail(name, "must have at most " + std::to_string(size_max) + " elements");
    return nullptr;
  }
  return value;
}

Json* Fields::element(Json& array, std::string_view name, std::size_t at) {
  Json& element = array[at];
  if (element.is_object()) return &element;
  fail_type(element_name(name, at), "an object", element);
  return nullptr;
}

std::string Fields::element_name(std::string_view name, std::size_t at) {
  return std::string(name) + "[" + std::to_string(at) + "]";
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Json* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  fail_type(name, "true or false", *value);
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view name, Range range) {
  const Json* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    fail_type(name, "a number", *value);
    return std::nullopt;
  }
  const double number = value->get<double>();
  const bool low = range.above_min ? number <= range.min : number < range.min;
  if (!low && number <= range.max) return number;
  fail(name, "must be " + text_of(range));
  return std::nullopt;
}

std::optional<int> Fields::integer(std::string_view name, int min, int max) {
  const Json* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    fail_type(name, "an integer", *value);
    return std::nullopt;
  }
  const double number = value->get<double>();  // Exact wherever it matters: the range is an int's.
  if (number >= min && number <= max) return static_cast<int>(number);
  const bool open_ended = max == std::numeric_limits<int>::max() && number < min;
  fail(name, open_ended ? "must be at least " + std::to_string(min)
                        : "must be between " + std::to_string(min) + " and " + std::to_string(max));
  return std::nullopt;
}

std::optional<std::uint64_t> Fields::seed(std::string_view name) {
  const Json* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) return value->get<std::uint64_t>();
  if (value->is_number_integer()) return static_cast<std::uint64_t>(value->get<std::int64_t>());
  fail_type(name, "a 64-bit integer", *value);
  return std::nullopt;
}

std::optional<std::string> Fields::string(std::string_view name, std::size_t characters_max) {
  Json* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail_type(name, "a string", *value);
    return std::nullopt;
  }
  std::string& text = value->get_ref<std::string&>();
  if (fits(text, characters_max)) return std::move(text);
  fail(name, "must be at most " + std::to_string(characters_max) + " characters long");
  return std::nullopt;
}

std::optional<std::string> Fields::one_of(std::string_view name,
                                          std::initializer_list<std::string_view> words) {
  auto text = string(name);
  if (!text || std::find(words.begin(), words.end(), *text) != words.end()) return text;
  std::string list;
  for (std::string_view word : words) list.append(list.empty() ? "" : ", ").append(word);
  fail(name, "must be one of " + list);
  return std::nullopt;
}

std::string Fields::required_string(std::string_view name) {
  const bool missing = any(name) == nullptr;
  if (missing) fail_missing(name, "a string");
  return missing ? std::string() : string(name).value_or(std::string());
}

std::string Fields::model() {
  constexpr std::size_t kBytesMax = 256;
  std::string name = required_string("model");
  if (name.empty()) fail("model", "must not be empty");
  if (name.size() <= kBytesMax) return name;
  fail("model", "must be at most 256 bytes long");
  return {};
}

Json* Fields::required_array(std::string_view name, std::size_t size_max) {
  if (any(name) == nullptr) fail_missing(name, "an array");
  return array(name, size_max);
}

void Fields::fail(std::string_view name, std::string why, std::string_view kind) {
  if (error_) return;
  std::string param = path_of(name);
  std::string message = "'" + param + "' " + std::move(why);
  error_ = Error{.code = Errc::invalid_request,
                 .message = std::move(message),
                 .param = std::move(param),
                 .kind = std::string(kind)};
}

void Fields::fail_missing(std::string_view name, std::string_view wanted) {
  fail(name, "is required and must be " + std::string(wanted), "missing_required_parameter");
}

void Fields::fail_type(std::string_view name, std::string_view wanted, const Json& found) {
  fail(name, "must be " + std::string(wanted) + ", not " + found.type_name(), "invalid_type");
}

Json* Fields::metadata() {
  constexpr std::size_t kPairsMax = 16, kNameMax = 64, kValueMax = 512;
  Json* metadata = object("metadata");
  if (metadata == nullptr) return nullptr;
  if (metadata->size() > kPairsMax) fail("metadata", "must have at most 16 pairs");
  for (const auto& [name, value] : metadata->items()) {
    if (!fits(name, kNameMax)) fail("metadata", "has a key longer than 64 characters");
    const bool good = value.is_string() && fits(value.get_ref<const std::string&>(), kValueMax);
    if (!good) fail("metadata." + name, "must be a string of at most 512 characters");
  }
  return metadata;
}

std::optional<int> Fields::lifetime(std::string_view name) {
  constexpr int kSecondsMin = 3'600, kSecondsMax = 2'592'000;
  Json* expiry = object(name);
  if (expiry == nullptr) return std::nullopt;
  Fields fields(*expiry, path_of(name) + ".", error_);
  fields.one_of("anchor", {"created_at"});
  const auto seconds = fields.integer("seconds", kSecondsMin, kSecondsMax);
  if (!seconds) fields.fail("seconds", "is required");
  return seconds;
}

}  // namespace spillway::wire
