// What a client says to whom its protocol is strange, where chat completions have no words for all
// of it. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

#include <optional>

namespace spillway {

// Nothing: what `request` says can be said in chat completions.
std::optional<Error> only_there(const ChatRequest& request);

}  // namespace spillway
