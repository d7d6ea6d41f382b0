#include "gateway/policy/quantiles.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr double kLowest = 1e-4;
constexpr double kGrowth = 1.04;

// Past so many half-lives the weights of the newest observations get too large to keep beside old
// ones.
constexpr double kRebaseAfter = 40.0;

}  // namespace

void Quantiles::add(double value, TimePoint now, double weight) {
  if (total_ == 0.0) base_ = now;
  const double half_life = static_cast<double>(half_life_.count());
  if (seconds_between(base_, now) > kRebaseAfter * half_life) rebase(now);
  const double grown = weight * std::exp2(seconds_between(base_, now) / half_life);
  const double position = std::log(std::max(value, kLowest) / kLowest) / std::log(kGrowth);
  const int bucket = std::min(static_cast<int>(position), kBuckets - 1);
  weight_[static_cast<std::size_t>(bucket)] += static_cast<float>(grown);
  total_ += grown;
}

double Quantiles::quantile(double q) const {
  if (total_ <= 0.0) return 0.0;
  double left = std::clamp(q, 0.0, 1.0) * total_;
  int last = 0;
  for (int i = 0; i < kBuckets; ++i) {
    const double here = weight_[static_cast<std::size_t>(i)];
    if (here <= 0.0) continue;
    last = i;
    left -= here;
    if (left <= 0.0) break;
  }
  return kLowest * std::pow(kGrowth, last + 0.5);
}

void Quantiles::rebase(TimePoint now) {
  const double half_life = static_cast<double>(half_life_.count());
  const double shrink = std::exp2(-seconds_between(base_, now) / half_life);
  total_ = 0.0;
  for (float& weight : weight_) {
    weight = static_cast<float>(weight * shrink);
    total_ += weight;
  }
  base_ = now;
}

}  // namespace spillway::policy
