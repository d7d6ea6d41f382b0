// How a model is to be sampled where a client leaves that open. Plain values.
#pragma once

#include "backends/contract/chat.h"

#include <optional>

namespace spillway {

// Nothing: as OpenAI says.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
};

inline Sampling with_defaults(Sampling sampling, const SamplingDefaults& defaults) {
  const Sampling::Unsaid& unsaid = sampling.unsaid;
  if (unsaid.temperature)
    sampling.temperature = defaults.temperature.value_or(sampling.temperature);
  if (unsaid.top_p) sampling.top_p = defaults.top_p.value_or(sampling.top_p);
  if (unsaid.top_k) sampling.top_k = defaults.top_k.value_or(sampling.top_k);
  if (unsaid.min_p) sampling.min_p = defaults.min_p.value_or(sampling.min_p);
  if (unsaid.repetition_penalty)
    sampling.repetition_penalty = defaults.repetition_penalty.value_or(sampling.repetition_penalty);
  return sampling;
}

}  // namespace spillway
