// What a model says of itself, by key: the key-value part of a GGUF file, read in place, or the
// same made of a folder's config.json.
//
// What was read in place points into the file's mapping and is valid as long as that is. Immutable
// after the file is opened; any thread. Getters distinguish "absent" from "of another type": an
// absent key is an error unless a fallback is given, a value of the wrong type always is one.
// Errors name the key.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::loader {

enum class ValueType : std::uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12,
};

// One value as it lies in the file; `payload` has been checked to hold `count` elements of
// `element`.
struct MetadataValue {
  ValueType type = ValueType::uint32;
  ValueType element = ValueType::uint32;  // Of an array; otherwise equal to type.
  std::uint64_t count = 1;                // Of an array.
  std::span<const std::byte> payload;
};

class Metadata {
 public:
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  std::size_t size() const { return values_.size(); }

  // Null if absent.
  const MetadataValue* find(std::string_view key) const;

  Result<std::string_view> text(std::string_view key,
                                std::optional<std::string_view> fallback = {}) const;
  // Any integer type; a uint64 above int64's range is an error.
  Result<std::int64_t> integer(std::string_view key,
                               std::optional<std::int64_t> fallback = {}) const;
  // Any floating or integer type.
  Result<double> number(std::string_view key, std::optional<double> fallback = {}) const;
  Result<bool> flag(std::string_view key, std::optional<bool> fallback = {}) const;

  // Arrays. An absent key is an error.
  Result<std::vector<std::string_view>> texts(std::string_view key) const;
  Result<std::vector<std::int64_t>> integers(std::string_view key) const;
  Result<std::vector<double>> numbers(std::string_view key) const;

  // For readers: false if the key is already there.
  bool add(std::string_view key, const MetadataValue& value);

  // The same of values that no file has in this form: kept here.
  bool add_text(std::string_view key, std::string_view value);
  bool add_integer(std::string_view key, std::int64_t value);
  bool add_number(std::string_view key, double value);
  bool add_flag(std::string_view key, bool value);
  bool add_integers(std::string_view key, std::span<const std::int64_t> values);

  Metadata() = default;
  Metadata(Metadata&&) = default;
  Metadata& operator=(Metadata&&) = default;

 private:
  bool keep(std::string_view key, MetadataValue value, std::span<const std::byte> bytes);

  std::deque<std::vector<std::byte>> kept_;
  std::map<std::string, MetadataValue, std::less<>> values_;
};

}  // namespace spillway::loader
