// Reads the body of POST /v1/messages and says it again as a chat completion, so that every target
// can answer it.
//
// Pure; any thread. What chat completions have no words for (documents, Anthropic's own tools, a
// begun answer…) is marked instead of dropped: such a request needs a target that speaks messages.
// What only helps or hides there (`cache_control`, `context_management`…) is named among the hints.
#pragma once

#include "backends/contract/error.h"
#include "gateway/anthropic/beyond.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::anthropic {

struct MessagesRequest {
  std::string model;
  bool stream = false;
  Beyond beyond;
  std::vector<std::string> hints;  // Fields that the chat does not say, and no answer hangs on.
  std::string chat;                // The chat completion's JSON.
};

// What the limit of the answer is to be: count_tokens has none.
enum class Limit { required, none };

Result<MessagesRequest> parse_messages(std::string_view body, Limit limit);

}  // namespace spillway::anthropic
