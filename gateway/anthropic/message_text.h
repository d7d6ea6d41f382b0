// The JSON around a message's content. Written by hand where it is written for each answer. Pure.
#pragma once

#include "backends/contract/chat.h"

#include <string>
#include <string_view>

namespace spillway::anthropic {

// "msg_" and the part of the request's id after its first '_'.
std::string message_id(std::string_view request_id);

// `"id":…,"type":"message","role":"assistant","model":…`
std::string message_head(std::string_view request_id, std::string_view model);

// `"stop_reason":…,"stop_sequence":…`. An answer that `called` tools has stopped for them, whatever
// word its target has for it: some say no more than `stop` where the tool was named.
std::string stop_text(FinishReason reason, std::string_view stop_sequence, bool called);

// {"input_tokens":…}: those of the prompt that no cache held or took, as Anthropic counts. `tier`:
// that served, in Anthropic's words; empty: not to be told.
std::string usage_text(const Usage& usage, std::string_view tier = {});

// In Anthropic's words.
std::string_view tier_text(std::string_view service_tier);

}  // namespace spillway::anthropic
