// The fields of a messages request that a chat completion does not say and no answer hangs on, such
// as what Anthropic is to cache: where it is asked in chat's words, its client is told of them.
//
// Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace spillway::anthropic {

// Each once, by its place: "cache_control", "messages.cache_control", "tools.cache_control"…
std::vector<std::string> hints_in(const nlohmann::ordered_json& request);

}  // namespace spillway::anthropic
