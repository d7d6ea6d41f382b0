// Typed reading of a JSON object's members, with OpenAI's manners: null means absent, and the first
// thing that is wrong becomes an invalid_request that names the member's path. Everything after it
// still reads, as absent. Pure.
#pragma once

#include "backends/contract/error.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::wire {

using Json = nlohmann::json;

class Fields {
 public:
  struct Range {
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    bool above_min = false;  // `min` itself is out of range.
  };

  // `object` is read in place and its strings may be moved out; `path` is "" or ends in '.';
  // `error` takes the first fault and is shared by all readers of a request. Requires:
  // object.is_object().
  Fields(Json& object, std::string path, std::optional<Error>& error);

  // Null if absent, null or of another type than the name says (then with an error).
  Json* any(std::string_view name);
  Json* object(std::string_view name);
  Json* array(std::string_view name, std::size_t size_max);

  // The object `metadata`, if it has at most 16 texts of 512 bytes under names of 64.
  Json* metadata();

  // The seconds of an object that says how long after its creation something expires: between an
  // hour and 30 days. Nothing if the object is absent.
  std::optional<int> lifetime(std::string_view name);

  // Element `at` of the array `name`; null with an error if it is not an object.
  Json* element(Json& array, std::string_view name, std::size_t at);
  static std::string element_name(std::string_view name, std::size_t at);  // "name[at]"

  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, Range range);
  std::optional<int> integer(std::string_view name, int min, int max);
  std::optional<std::uint64_t> seed(
      std::string_view name);  // 64 bits, two's complement if negative.
  std::optional<std::string> string(std::string_view name, std::size_t characters_max = kNoLimit);
  std::optional<std::string> one_of(std::string_view name,
                                    std::initializer_list<std::string_view> words);

  // As `string` and `array`, but absence is an error.
  std::string required_string(std::string_view name);

  // The member `model`: a name of 1 to 256 bytes.
  std::string model();
  Json* required_array(std::string_view name, std::size_t size_max);

  // Records "path.name: why" unless something was wrong before; `kind` is OpenAI's word for it.
  void fail(std::string_view name, std::string why, std::string_view kind = "invalid_value");
  void fail_missing(std::string_view name, std::string_view wanted);

  std::string path_of(std::string_view name) const { return path_ + std::string(name); }

  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

 private:
  void fail_type(std::string_view name, std::string_view wanted, const Json& found);

  Json& object_;
  const std::string path_;
  std::optional<Error>& error_;
};

}  // namespace spillway::wire
