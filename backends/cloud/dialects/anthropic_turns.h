// Chat messages as Anthropic's turns: system apart, a tool's results in the user turn that follows
// its calls, calls as tool_use. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud::anthropic {

// Writes `system` and `messages` into `out`. What it cannot say, or nothing. Throws what the
// library throws where a field is of another type than chat completions have there.
std::string write_turns(const nlohmann::ordered_json& messages, nlohmann::ordered_json& out);

// What of chat messages, each by the name of its field, goes unsaid in such turns.
std::vector<std::string_view> left_out_of_turns(std::string_view messages);

}  // namespace spillway::cloud::anthropic
