#include "gateway/wire/member_text.h"

#include <simdjson.h>

namespace spillway::wire {

std::optional<std::string> member_text(std::string_view body,
                                       std::span<const std::string_view> path) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(body.data(), body.size()).get(value)) return std::nullopt;
  for (const std::string_view name : path) {
    if (value.at_key(name).get(value)) return std::nullopt;
  }
  return simdjson::minify(value);
}

}  // namespace spillway::wire
