// The body of POST /v1/chat/completions, from JSON to a ChatRequest.
//
// Pure and thread-safe. Explicit nulls mean "absent", unknown fields stay in `body` untouched, and
// every error is invalid_request with the field's path in `param` ("messages[2].content") and a
// text that says what to change.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <memory>
#include <string>

namespace spillway::openai {

// Requires: `body` is at most the server's body limit; it is parsed once and kept in the result.
Result<std::shared_ptr<const ChatRequest>> parse_chat(std::string body);

}  // namespace spillway::openai
