// Between the request and the policy: what the router is told of a request. Pure; any thread.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/http/message.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"

#include <chrono>

namespace spillway {

// The facts of a chat request, but for its prompt tokens. Views point into the arguments.
policy::RequestFacts facts_of(const http::Request& raw, const policy::Caller& caller,
                              const ChatRequest& request);

// Prompt tokens of a request that no local tokenizer reads: four bytes of text a token and four
// tokens a message, the rule of thumb of OpenAI's documentation for English text.
int estimated_prompt_tokens(const ChatRequest& request);

// How long the request may take from its arrival: the class's deadline, the client's own timeout,
// the server's limit, whichever is shortest.
std::chrono::milliseconds time_for(const policy::Plan& plan);

}  // namespace spillway
