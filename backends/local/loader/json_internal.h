// JSON of unknown quality: bounded in size and depth, and errors that say where.
//
// Pure; any thread.
#pragma once

#include "backends/contract/error.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::loader {

using Json = nlohmann::json;

// `what` begins the error's text, before the line and column.
Result<Json> parse_json(std::string_view text, const std::string& what);

// The file `name` in a folder; nothing if there is none. It is at most `bytes_max` long.
Result<std::optional<std::string>> text_in(const std::string& folder, const std::string& name,
                                           std::uint64_t bytes_max);

// The same, parsed: an object. A file that is not there is an empty one.
Result<Json> object_in(const std::string& folder, const std::string& name,
                       std::uint64_t bytes_max = 64U << 20);

// What an object says under a key; null where it does not.
const Json& at_or_null(const Json& object, std::string_view key);

}  // namespace spillway::loader
