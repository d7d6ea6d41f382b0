// The logprobs of one token and of those that were likeliest in its place: the logarithm of the
// softmax of what the model gave, before biases, penalties, masks and temperature (vLLM's default,
// raw_logprobs).
//
// Pure, any thread; `scratch` is room to work in.
#pragma once

#include "backends/contract/chat.h"
#include "backends/local/sample/sampler.h"

#include <cstdint>
#include <optional>
#include <span>

namespace spillway::local {

// `likeliest`: so many of them, or all that there are. Requires: a row as long as the vocabulary,
// and `token` is of it.
ScoredToken score(std::span<const float> logits, std::int32_t token, int likeliest,
                  SamplerScratch& scratch);

// How many of the likeliest are told with each token of the prompt; nothing: it is not scored.
std::optional<int> likeliest_of_prompt(const Sampling& sampling);

}  // namespace spillway::local
