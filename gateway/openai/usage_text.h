// The `usage` object and the finish reason's name, as both shapes of an answer carry them. Pure.
#pragma once

#include "backends/contract/chat.h"

#include <string>
#include <string_view>

namespace spillway::openai {

// With what the provider counted besides.
void append_usage(std::string& out, const Usage& usage, const Beside& beside);

std::string_view name_of(FinishReason reason);

// Of an answer to the older `functions`, whose calls have a word of their own.
std::string_view name_of(FinishReason reason, bool calls_function);

// Whether the piece has a call as `functions` have it.
bool calls_function(const Delta& delta);

}  // namespace spillway::openai
