// What a request holds its answer to: response_format, and vLLM's and SGLang's words for the same.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <string_view>

namespace spillway::openai {

// Into `chat.form`. `body` is what `request` was read from. A form in words that nobody here knows
// makes `chat` need a server that does.
void read_form(wire::Fields& request, std::string_view body, ChatRequest& chat);

}  // namespace spillway::openai
