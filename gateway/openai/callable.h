// What an answer may call: `tools`, `tool_choice` and `parallel_tool_calls`, in the words of the
// contract.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <string_view>

namespace spillway::openai {

// Into `chat.tools`: nothing, where tools are of kinds that only providers know. `body` is what
// `request` was read from.
void read_callable(wire::Fields& request, std::string_view body, ChatRequest& chat);

// Of a message, the calls that it made or the call that it answers.
void read_calls(const wire::Json& message, Message& into);

}  // namespace spillway::openai
