// A message of a conversation as chat templates know it: the library transformers' words for
// OpenAI's.
//
// Pure; any thread.
#pragma once

#include "backends/contract/chat.h"
#include "backends/local/template/chat_template.h"
#include "backends/local/template/value.h"

namespace spillway::templates {

struct MessageManner {
  bool knows_developer = false;  // Otherwise OpenAI's "developer" is what models call "system".
  EarlierCalls calls;
};

// All its text is input.
Value value_of(const Message& message, const MessageManner& manner);

}  // namespace spillway::templates
