// Whether a provider can do what a request asks of it. Pure; any thread.
#pragma once

#include "backends/contract/need.h"
#include "config/settings.h"

#include <span>
#include <string_view>

namespace spillway::policy {

// Whether the form of an answer is a part of the prompt there, and billed; others hold the answer
// to it token by token, as the local engine does.
bool reads_forms(const config::ProviderTarget& target);

// Tokens that it adds to a prompt with tools by itself, and bills: the most that is known of a
// model of that name.
int tool_prompt_tokens(const config::ProviderTarget& target, std::string_view model);

// Whether a model of that name, as its provider knows it, searches the web though nothing asks it
// to: Perplexity's, Groq's compound systems, OpenAI's search models, what OpenRouter calls online.
bool searches_unasked(std::string_view model);

// Whether it is asked for answers of this endpoint at all.
bool serves(const config::ProviderTarget& target, Endpoint asks);

// Beside text for text: by what its `takes` says or, where it says nothing, by what its dialect is
// known for; a field that its `forward_fields` name is taken in any case. `beyond`: the fields by
// which the request asks.
bool takes(const config::ProviderTarget& target, const NeedWords& words,
           std::span<const FieldNeed> beyond);

}  // namespace spillway::policy
