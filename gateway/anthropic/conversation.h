// Anthropic's turns as chat messages: `system` becomes the first of them, each tool_result one of
// its own, tool_use an assistant's tool_calls, thinking its reasoning_content. Pure.
#pragma once

#include "gateway/anthropic/beyond.h"
#include "gateway/wire/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>

namespace spillway::anthropic {

// Writes `messages` into `chat`. `said` is the same request as `request` reads, in the client's
// order.
void read_conversation(wire::Fields& request, const nlohmann::ordered_json& said,
                       std::optional<Error>& error, nlohmann::ordered_json& chat, Beyond& beyond);

}  // namespace spillway::anthropic
