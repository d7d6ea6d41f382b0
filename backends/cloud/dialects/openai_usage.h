// What an answer of OpenAI's protocol says that it used. Pure; any thread.
#pragma once

#include "backends/contract/chat.h"

#include <optional>
#include <string_view>

namespace spillway::cloud::openai {

// Of a `usage` object, which may be null; what is not counted here goes into `beside`. Nothing
// where it counts no prompt, or less than nothing: that is no count, and not an answer for free.
std::optional<Usage> usage_of(std::string_view object, Beside& beside);

}  // namespace spillway::cloud::openai
