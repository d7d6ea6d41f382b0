#include "gateway/wire/json_object.h"

#include "gateway/wire/json_depth.h"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace spillway::wire {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 64;

Error invalid(std::string message) {
  return Error{Errc::invalid_request, std::move(message), "", std::nullopt};
}

}  // namespace

Result<Json> parse_object(std::string_view body) {
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
