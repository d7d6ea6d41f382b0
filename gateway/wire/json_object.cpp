#include "gateway/wire/json_object.h"

#include "gateway/wire/json_depth.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string>
#include <utility>

namespace spillway::wire {
namespace {

using Json = nlohmann::json;
namespace dom = simdjson::dom;

constexpr int kDepthMax = 64;

Error invalid(std::string message) {
  return Error{Errc::invalid_request, std::move(message), "", std::nullopt};
}

Json copy_of(const dom::element& value) {
  switch (value.type()) {
    case dom::element_type::STRING: return std::string(std::string_view(value));
    case dom::element_type::INT64: {
      const std::int64_t number(value);
      return number < 0 ? Json(number) : Json(static_cast<std::uint64_t>(number));
    }
    case dom::element_type::UINT64: return std::uint64_t(value);
    case dom::element_type::DOUBLE: return double(value);
    case dom::element_type::BOOL: return bool(value);
    case dom::element_type::NULL_VALUE: return nullptr;
    case dom::element_type::ARRAY: {
      Json list = Json::array();
      const dom::array elements(value);
      for (const dom::element element : elements) list.push_back(copy_of(element));
      return list;
    }
    case dom::element_type::OBJECT: break;
  }
  Json object = Json::object();
  const dom::object members(value);
  for (const auto [key, member] : members) object[std::string(key)] = copy_of(member);
  return object;
}

// What is right and nests sanely; nothing for the rest, as simdjson does not say where it is wrong.
std::optional<Json> quick_object(std::string_view body) {
  dom::parser parser;
  if (parser.allocate(std::max<std::size_t>(body.size(), 64), kDepthMax)) return std::nullopt;
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) || !root.is_object()) return std::nullopt;
  return copy_of(root);
}

}  // namespace

Result<Json> parse_object(std::string_view body) {
  if (auto json = quick_object(body))
    return Result<Json>(boost::system::in_place_value, std::move(*json));
  if (nests_deeper_than(body, kDepthMax)) {
    return invalid("the request body nests more than " + std::to_string(kDepthMax) +
                   " levels deep");
  }
  try {
    Json json = Json::parse(body.data(), body.data() + body.size());
    if (!json.is_object()) return invalid("the request body must be a JSON object");
    return Result<Json>(boost::system::in_place_value, std::move(json));
  } catch (const Json::parse_error& error) {
    return invalid("the request body is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return invalid("the request body has a number that is too large");
  }
}

}  // namespace spillway::wire
