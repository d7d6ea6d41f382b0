// What a model is told of tools where its chat template has no words for them. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "backends/local/answer/call_syntax.h"

#include <vector>

namespace spillway::local::answer {

// `messages`, with the tools in the first system message: one is put in front if there is none.
std::vector<Message> with_tools(std::vector<Message> messages, const Tools& tools,
                                const CallSyntax& syntax);

}  // namespace spillway::local::answer
