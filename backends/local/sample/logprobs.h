// The logprobs of one token and of those that were likeliest in its place: the logarithm of the
// softmax of what the model gave, before biases, penalties, masks and temperature (vLLM's default,
// raw_logprobs).
//
// Pure, any thread; `scratch` is room to work in.
#pragma once

#include "backends/contract/chat.h"
#include "backends/local/sample/sampler.h"

#include <cstdint>
#include <span>

namespace spillway::local {

// `likeliest`: so many of them. Requires: a row as long as the vocabulary, and `token` is of it.
ScoredToken score(std::span<const float> logits, std::int32_t token, int likeliest,
                  SamplerScratch& scratch);

}  // namespace spillway::local
