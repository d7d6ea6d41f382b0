// A provider's account limits as token buckets.
//
// Pure: time comes from the caller. One thread at a time.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/simulated/profile.h"

#include <optional>

namespace spillway::simulated {

class RateLimiter {
 public:
  // Both buckets start full.
  RateLimiter(const RateLimit& limit, TimePoint now);

  // nullopt: let through, and paid for. Else the seconds after which it would be.
  std::optional<double> refuse(int tokens, TimePoint now);

 private:
  struct Bucket {
    double per_second = 0.0;  // 0: no limit.
    double level = 0.0;

    void refill(double seconds);
    double wait_for(double amount) const;  // Seconds; 0 if it is there.
  };

  static Bucket full_bucket(double per_minute);

  Bucket requests_;
  Bucket tokens_;
  TimePoint filled_at_;
};

}  // namespace spillway::simulated
