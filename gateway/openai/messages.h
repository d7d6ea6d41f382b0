// The `messages` array of a chat request, and what it asks for beside text. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <optional>
#include <vector>

namespace spillway::openai {

// Empty with an error in `error` if something is wrong.
std::vector<Message> read_messages(wire::Fields& request, Need& needs, std::optional<Error>& error);

}  // namespace spillway::openai
