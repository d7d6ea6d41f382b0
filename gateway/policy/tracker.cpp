#include "gateway/policy/tracker.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace spillway::policy {
namespace {

// The catalogue weighs as much as so many answers of now.
constexpr double kPriorAnswers = 20.0;

// Standard normal quantiles of 20 equal shares' middles, upper half; the lower half mirrors it.
constexpr std::array kNormal = {0.0627, 0.1891, 0.3186, 0.4538, 0.5978,
                                0.7554, 0.9346, 1.1503, 1.4395, 1.9600};
constexpr double kNormal90 = 1.2816;
constexpr double kNormal95 = 1.6449;
constexpr double kNormal99 = 2.3263;

constexpr double kHalfLife = 60.0;  // Seconds without news.

constexpr int kShortestStream = 8;
constexpr double kRateNews = 0.1;

}  // namespace

Tracker::Tracker(const config::Measured& measured, TimePoint now)
    : tokens_per_second_(measured.tokens_per_second) {
  const double p50 = std::chrono::duration<double>(measured.ttft_p50).count();
  const double p99 = std::chrono::duration<double>(measured.ttft_p99).count();
  const double sigma = p50 > 0.0 && p99 > p50 ? std::log(p99 / p50) / kNormal99 : 0.0;
  const double weight = kPriorAnswers / (2.0 * kNormal.size());
  for (const double z : kNormal) {
    ttft_.add(p50 * std::exp(sigma * z), now, weight);
    ttft_.add(p50 * std::exp(-sigma * z), now, weight);
  }
  // A lognormal law through the catalogue's two points, exact until the first real answer.
  catalogue_ = {p50, p50 * std::exp(sigma * kNormal90), p50 * std::exp(sigma * kNormal95),
                std::max(p99, p50)};
  seen_ = catalogue_;
  news_ = now;
}

void Tracker::first_token(double seconds, TimePoint now) {
  ttft_.add(seconds, now);
  seen_ = {ttft_.quantile(0.50), ttft_.quantile(0.90), ttft_.quantile(0.95), ttft_.quantile(0.99)};
  news_ = now;
}

void Tracker::silent(double seconds, TimePoint now) {
  if (seconds > ttft_p90(now)) first_token(seconds, now);
}

double Tracker::faded(TimePoint now, double Quantile::* which) const {
  const double idle = std::max(0.0, seconds_between(news_, now));
  const double left = std::exp2(-idle / kHalfLife);
  return catalogue_.*which + left * (seen_.*which - catalogue_.*which);
}

void Tracker::streamed(int tokens, double seconds) {
  if (tokens < kShortestStream || seconds <= 0.0) return;
  const double rate = tokens / seconds;
  tokens_per_second_ += kRateNews * (rate - tokens_per_second_);
}

}  // namespace spillway::policy
