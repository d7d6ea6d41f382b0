// The tools of the responses protocol in chat's words. Those that run at OpenAI have none. Pure.
#pragma once

#include "gateway/wire/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>

namespace spillway::responses {

// Writes `tools`, `tool_choice` and `parallel_tool_calls` into `chat`, as far as there are any, and
// all three into `settings`.
void read_tools(wire::Fields& request, const nlohmann::ordered_json& said,
                std::optional<Error>& error, nlohmann::ordered_json& chat,
                nlohmann::ordered_json& settings);

}  // namespace spillway::responses
