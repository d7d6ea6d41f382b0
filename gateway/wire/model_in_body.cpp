#include "gateway/wire/model_in_body.h"

#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

namespace spillway::wire {

using nlohmann::ordered_json;

std::string with_model(std::string body, std::string_view model) {
  const auto read = parse_object(body);
  if (!read) return body;
  const auto named = read->find("model");
  if (named != read->end() && *named == model) return body;
  auto object = ordered_json::parse(body);
  object["model"] = model;
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace spillway::wire
