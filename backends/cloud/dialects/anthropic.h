// How a provider that speaks Anthropic's messages writes a request and says its answer.
//
// Pure functions and one reader an answer. What the client itself said in this protocol is
// forwarded byte for byte, each field once, with the provider's model, less what names a class of
// ours (service_tier, speed), and what others thought, and with a lower max_tokens where the
// request is cut short; its answer's bytes come back beside what they mean, in Delta::original.
// What a client of chat completions said is translated, both ways; what has no words here fails
// with invalid_request that says so.
#pragma once

#include "backends/cloud/dialects/dialect.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud::anthropic {

const Dialect& dialect();

// As Dialect's.
Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 const Manner& manner);

// As Dialect's, of a request that is translated.
std::vector<std::string> left_out(const ChatRequest& request, const Manner& manner);

// `original`: the answer's own bytes are wanted, too.
std::unique_ptr<AnswerReader> reader(bool original);

// True if the client's own bytes are what is sent.
bool is_forwarded(const ChatRequest& request);

}  // namespace spillway::cloud::anthropic
