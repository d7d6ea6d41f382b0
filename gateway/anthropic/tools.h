// Anthropic's tools and tool_choice in chat's words. Tools that run at Anthropic have none. Pure.
#pragma once

#include "gateway/anthropic/beyond.h"
#include "gateway/wire/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>

namespace spillway::anthropic {

// Writes `tools`, `tool_choice` and `parallel_tool_calls` into `chat`, as far as there are any.
void read_tools(wire::Fields& request, const nlohmann::ordered_json& said,
                std::optional<Error>& error, nlohmann::ordered_json& chat, Beyond& beyond);

}  // namespace spillway::anthropic
