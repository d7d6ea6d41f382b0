// The providers of the article as numbers: how fast, how dear, how good, and how much they allow.
//
// Pure values; any thread.
#pragma once

#include "config/settings.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::simulated {

// Time to the first token is lognormal with the mean given at `reference_input` prompt tokens, and
// longer prompts add their reading time. Time per token is lognormal too, drawn once a request.
struct LatencyLaw {
  double first_token_mean = 0.0;  // Seconds.
  double first_token_sigma = 0.0;
  double per_token_mean = 0.0;  // Seconds.
  double per_token_sigma = 0.0;
  int reference_input = 512;   // Tokens.
  int reference_output = 128;  // Tokens; what a response's mean is stated at.
  double input_tokens_per_second = 20'000.0;

  // At reference_input and reference_output.
  double response_mean() const { return first_token_mean + reference_output * per_token_mean; }

  // The same law, slower or faster; the reading time of longer prompts stays.
  LatencyLaw with_response_mean(double seconds) const;
};

// What a provider's account may do; 0 is no limit. Buckets hold ten seconds' worth.
struct RateLimit {
  double requests_per_minute = 0.0;
  double tokens_per_minute = 0.0;  // Prompt and completion.
  int concurrency_max = 0;
};

struct Profile {
  std::string name;
  LatencyLaw latency;
  RateLimit limit;
  config::Price price;
  double quality = 0.0;  // The article's BLEU column.
};

// cloudbrain, ai-hub, openmodel, or instant (answers at once, without limits); nullopt for others.
std::optional<Profile> find_profile(std::string_view name);

std::vector<std::string> profile_names();

}  // namespace spillway::simulated
