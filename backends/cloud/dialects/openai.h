// How a provider that speaks OpenAI's protocol writes a request and says its answer.
//
// Pure functions, any thread: strings in, values out. Untrusted bytes in, so everything is checked.
#pragma once

#include "backends/cloud/dialects/dialect.h"
#include "backends/cloud/dialects/openai_ways.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud::openai {

// The service_tier that costs what batches do.
inline constexpr std::string_view kBatchTier = "flex";
inline constexpr std::string_view kDearerTier = "priority";

// The body to send for `request` with the provider's `model`: the client's own JSON, each value
// byte for byte and in its order, less nulls and what the provider does not take (fields of ours,
// of other providers, and service_tier, which names a class of ours and would buy a dearer one
// there: it is `flex` if the request is to be answered at the batch rate, else left out);
// embeddings, moderations and rankings lose nothing else. A stream always asks for its
// usage. What is to be gone on with (ChatRequest::begun) is asked for as `manner.continues` says.
// Fails with invalid_request if the client's body is no JSON object, with unsupported if a field
// that would change the answer is not known to be taken there.
Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 const Ways& ways, const Manner& manner);

// What of it the provider is not told; see Backend::left_out.
std::vector<std::string> left_out(const ChatRequest& request, const Ways& ways,
                                  const Manner& manner);

// One event's data, of a chat or a completion.
Parsed parse_chunk(std::string_view data);

// A whole answer: one Delta with `finish` for each choice.
Parsed parse_answer(std::string_view body);

// An answer that is no conversation (embeddings, moderations, rankings): one Delta with the body as
// its `object`. Embeddings must be as many as there were `inputs`; 0: it has none.
Parsed parse_object(std::string_view body, int inputs);

}  // namespace spillway::cloud::openai
