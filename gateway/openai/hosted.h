// Tools that run at the provider, and models that it is to ask besides: what that costs is bounded
// by nothing that is said here, and a key may not be allowed them. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <string>

namespace spillway::openai {

// A tool of a kind that is none of ours: "web_search", Groq's "browser_search", Moonshot's
// builtin_function "$web_search", "openrouter:advisor" with a model of its own.
void read_hosted(const wire::Json& tool, const std::string& type, ChatRequest& chat);

// What its other fields have the provider do: wire::asked_besides.
void read_besides(const wire::Json& request, ChatRequest& chat);

}  // namespace spillway::openai
