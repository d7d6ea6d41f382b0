// Reads the body of POST /v1/messages and says it again as a chat completion, so that every target
// can answer it.
//
// Pure; any thread. What chat completions have no words for (documents, Anthropic's own tools, a
// begun answer…) is marked instead of dropped: such a request needs a target that speaks messages.
// `cache_control` is taken and means something only there.
#pragma once

#include "backends/contract/error.h"
#include "gateway/anthropic/beyond.h"

#include <string>
#include <string_view>

namespace spillway::anthropic {

struct MessagesRequest {
  std::string model;
  bool stream = false;
  Beyond beyond;
  std::string chat;  // The chat completion's JSON.
};

// What the limit of the answer is to be: count_tokens has none.
enum class Limit { required, none };

Result<MessagesRequest> parse_messages(std::string_view body, Limit limit);

}  // namespace spillway::anthropic
