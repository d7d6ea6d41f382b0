// The parts of Decision that weigh what a promise costs: where it is kept for less, and where
// nobody should pay for it.
#include "gateway/policy/decision.h"
#include "gateway/policy/held_work.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace spillway::policy {
namespace {

// Chosen on two traces, azure1h and the servegen day, as those of held_work.cpp.
constexpr double kBrokenPromise = 15e6;  // Nano-USD that the risk of one weighs when nothing is at
                                         // risk here.
constexpr double kTimeInHand = 0.36;     // Who lets others pass needs this share of its time.
constexpr double kLongPrompt = 1.0;      // Seconds of reading. No prompt of the two takes as long.

// A first token that nobody has in time may come so many times later than promised.
constexpr double kBearable = 4.0;

// Nobody knows how many will pass who lets others pass. To leave as soon as the promise could be
// kept elsewhere would cost a seventh more on traces with long prompts, where nearly all have their
// turn in time.
constexpr double kPassedAtMost = 1.5;  // Times its promise.

constexpr double kNormal90 = 1.2816;  // The normal law's P90.

// That a provider's first token comes within so many seconds: a lognormal law through its median
// and its P90, but no oftener than prompts of this length have been in time.
double chance_of(const Judged& provider, double ttft_max) {
  if (provider.ttft <= provider.ttft_typical) return provider.ttft <= ttft_max ? 1.0 : 0.0;
  if (!std::isfinite(ttft_max)) return 1.0;
  const double sigmas = kNormal90 * std::log(ttft_max / provider.ttft_typical) /
                        std::log(provider.ttft / provider.ttft_typical);
  return std::min(provider.in_time, 0.5 * std::erfc(-sigmas / std::numbers::sqrt2));
}

}  // namespace

double Decision::own_gpu_seconds() const {
  return gpu_seconds(*fleet_.local, work_.prompt_tokens, work_.completion_tokens);
}

// The engine's time earns more with held work that would have to leave, the risk at the provider
// counted.
bool Decision::worth_more_elsewhere() const {
  if (fleet_.gpu_second_worth <= 0.0 || providers_.empty()) return false;
  const Judged& best = providers_.front().judged;
  if (best.verdict != Verdict::fits) return false;
  const double risk = kBrokenPromise * (1.0 - chance_of(best, work_.ttft_max));
  const double earned = fleet_.gpu_second_worth * own_gpu_seconds();
  return static_cast<double>(best.expected_cost) + risk < earned;
}

// What is asked for the request, less what the engine's time would earn meanwhile, is not more than
// a promise may cost.
bool Decision::is_worth_it(double expected_cost, double in_time) const {
  if (!class_.promise_price_max) return true;
  const double most = terms_.promise_price * static_cast<double>(*class_.promise_price_max);
  const double earned = fleet_.gpu_second_worth * own_gpu_seconds();
  return (expected_cost - earned) / in_time <= most;
}

// Somebody has prompts of this length in time often enough, for what a promise may cost.
bool Decision::promise_is_worth_it() const {
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const Judged& judged = providers_[i].judged;
    if (judged.in_time < kInTimeLeast) continue;
    if (is_worth_it(static_cast<double>(judged.expected_cost), judged.in_time)) return true;
  }
  return false;
}

void Decision::tell_too_dear() {
  for (Alternative& one : plan_.considered) {
    const bool is_provider = one.expected_cost > 0 && can_take(one.verdict);
    one.too_dear_a_promise = is_provider && one.in_time >= kInTimeLeast;
  }
}

// The engine's prediction is nearly certain; a provider's P90 that is late is not.
bool Decision::only_they_may_be_in_time() const {
  const bool surely_late = local_.verdict == Verdict::misses_ttft && local_.ttft > work_.ttft_max;
  return surely_late && chance_of(providers_.front().judged, work_.ttft_max) >= kInTimeLeast;
}

// Only a first token that is late by little: in the background it makes nobody else late. Where it
// would wait there for long, everything stays as it is.
bool Decision::forgo_promise() {
  if (local_.verdict != Verdict::misses_ttft || !stand_behind(kBearable)) return false;
  tell_too_dear();
  return true;
}

// Those that come while a long prompt is read would be late because of it, or would have to leave:
// with time in hand it stands behind them. Not while the engine is full: it would never be its
// turn.
bool Decision::may_be_passed() {
  if (fleet_.gpu_second_worth > 0.0 || work_.lane == Lane::background) return false;
  const int to_read = work_.prompt_tokens - work_.cached_tokens;
  const double reading = fleet_.local->step.per_prefill_token * to_read;
  if (reading <= kLongPrompt || !stand_behind(kTimeInHand)) return false;
  patience_ = kPassedAtMost * work_.ttft_max;
  return true;
}

// In the background, if it is late by so much there at the most.
bool Decision::stand_behind(double lateness_max) {
  Work behind = work_;
  behind.lane = Lane::background;
  const Judged judged = judge_local(fleet_, behind, terms_.ttft_headroom);
  if (judged.lateness > lateness_max) return false;
  work_ = behind;
  local_ = judged;
  plan_.local = local_.prediction;
  Alternative& told = *plan_.considered.begin();
  told.ttft = local_.ttft;
  told.finish = local_.finish;
  return true;
}

}  // namespace spillway::policy
