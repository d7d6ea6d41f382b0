// What chat and completions ask alike: how to sample, and whether to stream. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <optional>

namespace spillway::openai {

// `tokens_least`: no limit of tokens may be lower.
Sampling read_sampling(wire::Fields& request, int tokens_least = 1);

// `logit_bias`, an object of token ids and numbers from -100 to 100, into the sampling; and so
// what a target must be able to do.
void read_logit_bias(wire::Fields& request, ChatRequest& chat);

// vLLM's `prompt_logprobs`, which no stream tells. Requires: chat.stream has been read.
void read_prompt_logprobs(wire::Fields& request, ChatRequest& chat);

// The fields that not everybody knows, and so what a target must be able to do. Requires:
// chat.sampling has been read.
void read_beyond(wire::Fields& request, ChatRequest& chat);

// Those that nobody here has heard of, into `unknown`.
void read_unknown(const wire::Json& request, ChatRequest& chat);

void read_stream_options(wire::Fields& request, ChatRequest& chat, std::optional<Error>& error);

}  // namespace spillway::openai
