// How a provider that speaks OpenAI's chat completions writes a request and says its answer.
//
// Pure functions, any thread: strings in, values out. Untrusted bytes in, so everything is checked.
#pragma once

#include "backends/cloud/dialects/dialect.h"

#include <string>
#include <string_view>

namespace spillway::cloud::openai {

// The body to send for `request` with the provider's `model`: the client's own JSON, each value
// byte for byte, less what the provider does not take (fields of ours, of vLLM, nulls, and
// service_tier, which names a class of ours and would buy a dearer one there). A stream always asks
// for its usage. What is to be gone on with (ChatRequest::begun) is asked for as `continues` says,
// a word of config::ProviderTarget::continues. Fails with invalid_request if the client's body is
// no JSON object.
Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 std::string_view continues = "no");

// One event's data.
Parsed parse_chunk(std::string_view data);

// A whole answer: one Delta with `finish` for each choice.
Parsed parse_answer(std::string_view body);

}  // namespace spillway::cloud::openai
