// A client's body as a JSON object, or what is wrong with it. Pure.
#pragma once

#include "backends/contract/error.h"

#include <nlohmann/json_fwd.hpp>

#include <string_view>

namespace spillway::wire {

// invalid_request for what is no JSON object, nests or has as many values as only an attacker would
// write, or has a number that no double holds.
Result<nlohmann::json> parse_object(std::string_view body);

}  // namespace spillway::wire
