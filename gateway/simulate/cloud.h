// The article's providers on a virtual clock: what becomes of a request sent to one now.
//
// Latency, price and account limits are those of backends/simulated: time to first token lognormal,
// 40 % of the mean response at 512 tokens in and 128 out (sigma 0.5, corrected to that mean), plus
// (input - 512) / 20,000 s; the rest of the mean spread over the output (sigma 0.2, drawn once a
// request). 0.3 % fail: half with an error seen after 0.2 s, half by silence until a timeout of
// 2 s. 1,500 requests and 3 M tokens (in and out) a minute as buckets of ten seconds' worth, 256 at
// a time; more gets a 429 at once, with the time after which to try again. In an overload 18 % fail
// and the mean response is 3.2 s; the reading time of long prompts stays.
//
// Times are seconds from the trace's start; each provider is asked in order of time. What a request
// draws depends on (seed, id, provider, attempt) alone, never on what was asked before; only limits
// depend on the others. One thread at a time.
#pragma once

#include "backends/simulated/performance.h"
#include "backends/simulated/profile.h"
#include "backends/simulated/rate_limiter.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::simulate {

struct Overload {
  double begins = 0.0;  // By when the request is sent; the end is outside.
  double ends = 0.0;
  double failure_share = 0.18;
  double response_mean = 3.2;  // Seconds, at the profile's reference request.
};

struct CloudRules {
  double failure_share = 0.003;
  double error_after = 0.2;  // Seconds.
  double timeout = 2.0;      // After which silence counts as a failure.
  std::optional<Overload> overload;
};

// What such a provider does to a request that is sent at `now`.
simulated::Script script_of(const CloudRules& rules, double now);

struct CloudRequest {
  std::uint64_t id = 0;
  int attempt = 0;  // From 0; another attempt draws anew.
  int prompt_tokens = 0;
  int completion_tokens = 0;
  std::span<const std::uint64_t> prefix_ids{};  // The prompt's blocks, where they are known.
};

enum class CloudOutcome { answered, error, timeout, limited };

struct CloudReply {
  CloudOutcome outcome = CloudOutcome::answered;
  double first_token = 0.0;  // When answered.
  double finish = 0.0;       // Its last token, or when the failure is seen; `now` if limited.
  double retry_after = 0.0;  // Seconds, if limited.
  int cached_tokens = 0;     // Of the prompt, when answered.
};

// Which blocks of prompts a provider has read in the last minutes.
class CloudCache {
 public:
  // How many at the start of `ids` it has; from then on all of them.
  int take(std::span<const std::uint64_t> ids, double now);

 private:
  std::unordered_map<std::uint64_t, double> read_;  // When, by block.
};

// What `cloud` draws by, with a request's id, for one of its attempts.
std::uint64_t seed_of(std::uint64_t seed, std::string_view cloud, int attempt);

class CloudProvider {
 public:
  CloudProvider(simulated::Profile profile, CloudRules rules, std::uint64_t seed);

  const simulated::Profile& profile() const { return profile_; }

  // Requires: `now` is not before that of any call before, as for in_flight.
  CloudReply ask(const CloudRequest& request, double now);

  int in_flight(double now);

 private:
  std::optional<double> refuse(const CloudRequest& request, double now);

  simulated::Profile profile_;
  CloudRules rules_;
  std::uint64_t seed_;
  simulated::RateLimiter limiter_;
  CloudCache cache_;
  std::priority_queue<double, std::vector<double>, std::greater<>>
      finishes_;  // Of those in flight.
};

// The article's three, the cheapest first.
inline constexpr std::array<std::string_view, 3> kReferenceClouds{"ai-hub", "openmodel",
                                                                  "cloudbrain"};

}  // namespace spillway::simulate
