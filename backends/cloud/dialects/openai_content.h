// The content of a message or a delta of OpenAI's protocol, as a text or in parts. Pure; any
// thread.
#pragma once

#include "backends/contract/chat.h"

#include <string_view>

namespace spillway::cloud::openai {

// Puts its text and, of Mistral's parts, its thinking behind what `delta` says. False if it is
// neither a text nor a list of parts that are known.
bool read_content(std::string_view content, Delta& delta);

}  // namespace spillway::cloud::openai
