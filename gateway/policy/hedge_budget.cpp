#include "gateway/policy/hedge_budget.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kHalfLife = 300.0;  // Seconds.
constexpr double kLeast = 1.0;       // Nano-USD.

}  // namespace

bool HedgeBudget::begin(config::NanoUsd most, double share, TimePoint now) {
  fade(now);
  const double wanted = static_cast<double>(most) + kLeast;
  if (twice_ + pending_ + wanted > share * all_) return false;
  pending_ += wanted;
  return true;
}

void HedgeBudget::over(config::NanoUsd most) {
  pending_ = std::max(0.0, pending_ - static_cast<double>(most) - kLeast);
}

void HedgeBudget::spent(config::NanoUsd all, config::NanoUsd twice, bool hedged, TimePoint now) {
  fade(now);
  all_ += static_cast<double>(all) + kLeast;
  twice_ += static_cast<double>(twice) + (hedged ? kLeast : 0.0);
}

void HedgeBudget::fade(TimePoint now) {
  const double left = std::exp2(-std::max(0.0, seconds_between(at_, now)) / kHalfLife);
  all_ *= left;
  twice_ *= left;
  at_ = std::max(at_, now);
}

}  // namespace spillway::policy
