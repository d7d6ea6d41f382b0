#include "backends/local/template/json_value.h"

#include <nlohmann/json.hpp>

#include <limits>

namespace spillway::templates {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kJsonDepthMax =
    kValueDepthMax - 10;  // Leaves room for what a template puts around it.

// False where the value nests too deeply or has a number too large.
bool is_acceptable(const Json& json, int depth) {
  if (depth > kJsonDepthMax) return false;
  if (json.is_number_unsigned()) {
    return json.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
  }
  if (!json.is_structured()) return true;
  for (const Json& item : json) {
    if (!is_acceptable(item, depth + 1)) return false;
  }
  return true;
}

Value converted(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean: return Value(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return Value(json.get<std::int64_t>());
    case Json::value_t::number_float: return Value(json.get<double>());
    case Json::value_t::string: return Value(MarkedText(json.get<std::string>(), true));
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) items.push_back(converted(item));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [key, item] : json.items()) {
        items.emplace_back(Value(MarkedText(key, true)), converted(item));
      }
      return Value::dict(std::move(items));
    }
    default: return Value(None{});
  }
}

}  // namespace

Result<Value> value_from_json(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return Error{Errc::invalid_request, "this is not JSON"};
  if (!is_acceptable(parsed, 0)) {
    return Error{Errc::invalid_request,
                 "this JSON nests too deeply or has a number that is too large"};
  }
  return converted(parsed);
}

}  // namespace spillway::templates
