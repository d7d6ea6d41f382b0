// The `messages` array of a chat request. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <optional>

namespace spillway::openai {

// Into chat.messages, and what they ask for beside text into its `needs` and `media`. The first
// thing that is wrong goes into `error`.
void read_messages(wire::Fields& request, ChatRequest& chat, std::optional<Error>& error);

}  // namespace spillway::openai
