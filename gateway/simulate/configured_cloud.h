// The providers of a configuration on a virtual clock. The article's three answer by their own laws
// (cloud.h). Any other answers by the same law with figures of its own: what the gateway's log says
// of it where there is enough, else what the configuration says under `measured`.
//
// Assumed of it, as of the three: first tokens are lognormal, here through its P50 and its P99 at
// 512 prompt tokens, and longer prompts add (input - 512) / 20,000 s; its rate is drawn once an
// answer (sigma 0.2) around its tokens_per_second; 0.3 % fail, half of them by silence. Its
// `rate_limit` and `concurrency_max` are what its account allows, at each of its servers. Where a
// prompt's blocks are known, and cached ones have a price of their own, it has those it was sent in
// the last five minutes; they cost less and are read no faster. Its cheaper tier is as quick.
#pragma once

#include "config/settings.h"
#include "gateway/simulate/cloud.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace spillway::simulate {

// As it was of late; 0: there were too few to tell.
struct MeasuredCloud {
  double ttft_p50 = 0.0;  // Seconds, at 512 prompt tokens.
  double ttft_p99 = 0.0;
  double tokens_per_second = 0.0;
  double failure_share = 0.0;
  int answers = 0;
};

// What providers are like beside their profiles.
struct CloudWorld {
  double length = 0.0;  // Of the trace, in seconds.
  std::uint64_t seed = 1;
  double slowdown = 1.0;   // Of all, outside of an overload.
  std::string overloaded;  // Has its episode from 40 % to 60 % of the length; empty: nobody has.
  std::map<std::string, double, std::less<>> failing;  // So often all the time, by provider.
  std::map<std::string, MeasuredCloud, std::less<>> measured;
};

// What a first token that took so long would have taken behind 512 prompt tokens.
double at_reference_prompt(double seconds, int prompt_tokens);

// ai-hub, as the reference has it; without it the provider that is cheapest at 512 + 128 tokens.
// Empty without providers.
std::string usually_overloaded(const config::Settings& settings);

simulated::Profile profile_of(const config::ProviderTarget& provider, const CloudWorld& world);
CloudRules rules_of(const config::ProviderTarget& provider, const CloudWorld& world);

// Its servers, all alike.
std::vector<CloudProvider> clouds_of(const config::ProviderTarget& provider,
                                     const CloudWorld& world);

}  // namespace spillway::simulate
