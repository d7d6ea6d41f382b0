#include "gateway/policy/cache_belief.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kHalfLife = 1'800.0;  // Seconds.

// What nothing was seen of counts like so many tokens of which half were cached.
constexpr double kPriorTokens = 2'000.0;
constexpr double kPriorShare = 0.5;

}  // namespace

double CacheBelief::share(TimePoint now) const {
  return (left_of(cached_, now) + kPriorShare * kPriorTokens) /
         (left_of(expected_, now) + kPriorTokens);
}

// More than was expected is somebody else's beginning.
void CacheBelief::billed(double expected, double cached, TimePoint now) {
  expected_ = left_of(expected_, now) + expected;
  cached_ = left_of(cached_, now) + std::clamp(cached, 0.0, expected);
  at_ = std::max(at_, now);
}

double CacheBelief::left_of(double tokens, TimePoint now) const {
  return tokens * std::exp2(-std::max(0.0, seconds_between(at_, now)) / kHalfLife);
}

}  // namespace spillway::policy
