#include "backends/simulated/rate_limiter.h"

#include <algorithm>

namespace spillway::simulated {

namespace {

constexpr double kBucketSeconds = 10.0;

}  // namespace

RateLimiter::Bucket RateLimiter::full_bucket(double per_minute) {
  const double per_second = per_minute / 60.0;
  return Bucket{per_second, per_second * kBucketSeconds};
}

void RateLimiter::Bucket::refill(double seconds) {
  level = std::min(level + per_second * seconds, per_second * kBucketSeconds);
}

double RateLimiter::Bucket::wait_for(double amount) const {
  if (per_second <= 0.0) return 0.0;
  // What is more than a full bucket passes when the bucket is full, and leaves a debt.
  const double needed = std::min(amount, per_second * kBucketSeconds);
  return std::max(0.0, (needed - level) / per_second);
}

RateLimiter::RateLimiter(const RateLimit& limit, TimePoint now)
    : requests_(full_bucket(limit.requests_per_minute)),
      tokens_(full_bucket(limit.tokens_per_minute)),
      filled_at_(now) {}

std::optional<double> RateLimiter::refuse(int tokens, TimePoint now) {
  const double seconds = std::max(0.0, seconds_between(filled_at_, now));
  requests_.refill(seconds);
  tokens_.refill(seconds);
  filled_at_ = std::max(filled_at_, now);

  const double wait = std::max(requests_.wait_for(1.0), tokens_.wait_for(tokens));
  if (wait > 0.0) return wait;
  requests_.level -= 1.0;
  tokens_.level -= tokens;
  return std::nullopt;
}

}  // namespace spillway::simulated
