// The request target: "/v1/models/a%2Fb?x=1" becomes a decoded path and the query as sent. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway::http {

struct Target {
  std::string path;
  std::string query;
};

// Nothing if the target is neither "*" nor a path, or decodes badly (broken %XX, control
// characters). The absolute form
// ("http://host/path") loses its scheme and authority.
std::optional<Target> parse_target(std::string_view target);

// Nothing for a broken %XX or a control character.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace spillway::http
