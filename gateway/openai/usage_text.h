// The `usage` object and the finish reason's name, as both shapes of an answer carry them. Pure.
#pragma once

#include "backends/contract/chat.h"

#include <string>
#include <string_view>

namespace spillway::openai {

// With what the provider counted besides.
void append_usage(std::string& out, const Usage& usage, const Beside& beside);

std::string_view name_of(FinishReason reason);

}  // namespace spillway::openai
