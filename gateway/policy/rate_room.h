// How much of one limit of an account with a provider is left, by what its last answers said and
// what was sent since. Fills evenly until it is full, as the providers' buckets do; once it should
// be full nothing is known. Pure state: time is passed in. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/rate_left.h"

#include <optional>

namespace spillway::policy {

class RateRoom {
 public:
  // What all requests have taken so far, this one included: to be given to `told` with its answer.
  double take(double amount) { return taken_ += amount; }

  // The answer to a request that was sent then, when so much had been taken. Older ones than the
  // last that was told say nothing.
  void told(const RateLeft::Room& room, double taken, TimePoint sent);

  // From when on there is room for so much; not after `now`: there is.
  TimePoint free_at(double amount, TimePoint now) const;

 private:
  struct Told {
    double left = 0.0;
    double per_second = 0.0;  // 0: unknown; it is full all at once.
    double taken = 0.0;
    TimePoint at{};
    TimePoint full{};
  };

  double taken_ = 0.0;
  std::optional<Told> told_;
};

}  // namespace spillway::policy
