#include "gateway/policy/correction.h"

#include <algorithm>
#include <cmath>

namespace spillway::policy {
namespace {

// Added to both sides of the ratio: a few milliseconds of thread hand-over must not look like a
// slow engine.
constexpr double kGrain = 0.010;
constexpr double kLogClip = 2.0794415416798357;  // ln 8
constexpr double kMemory = 12.0;                 // Answers.
// That the model is right weighs as much as so many answers.
constexpr double kPrior = 2.0;
// What comes this soon counts half: promises are broken by what comes late.
constexpr double kShort = 0.2;
constexpr double kHalfLife = 30.0;  // Seconds without news.

constexpr double kBroken = 0.05;  // The share of answers that may be beyond the bound.
constexpr double kBoundNews = 0.03;
constexpr double kBoundMax = 1.4;  // Of its logarithm: four times the prediction.

}  // namespace

void Correction::observe(double predicted, double model, double observed, TimePoint now) {
  const double ratio = (observed + kGrain) / (model + kGrain);
  const double news = std::clamp(std::log(ratio), -kLogClip, kLogClip);
  log_ratio_ = std::log(factor(now));
  last_ = now;
  const double late = std::max(observed, model) + kGrain;
  const double weight = late / (late + kShort);
  seen_ = std::min(seen_ + weight, kMemory);
  log_ratio_ += weight * (news - log_ratio_) / (seen_ + kPrior);
  if (observed > 0.0) errors_.add(std::abs(predicted - observed) / observed, now);
}

void Correction::judge_bound(bool kept) {
  log_bound_ += kBoundNews * ((kept ? 0.0 : 1.0) - kBroken);
  log_bound_ = std::clamp(log_bound_, 0.0, kBoundMax);
}

double Correction::bound() const { return std::exp(log_bound_); }

double Correction::factor(TimePoint now) const {
  if (seen_ <= 0.0) return 1.0;
  const double idle = std::max(0.0, seconds_between(last_, now));
  return std::exp(log_ratio_ * std::exp2(-idle / kHalfLife));
}

}  // namespace spillway::policy
