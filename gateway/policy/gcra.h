// A rate as the generic cell rate algorithm keeps it: one number, the time at which all that was
// taken would have come at an even pace. Who is at rest may take a minute's worth at once; then it
// comes back evenly. Lock-free, any thread; time is given.
#pragma once

#include "backends/contract/deadline.h"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace spillway::policy {

class Bucket {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  struct Answer {
    bool taken = false;
    std::int64_t remaining = 0;  // What could be taken now.
    Nanoseconds reset{};         // Until all of it is there again.
    Nanoseconds retry_after{};   // Not taken: until it could be, if nobody else takes anything.
  };

  // Takes `cost`, or nothing. More than a minute's worth is never there; it is taken as if it were
  // exactly that. Requires: per_minute > 0.
  Answer take(std::int64_t per_minute, std::int64_t cost, TimePoint now);

  // What was taken turned out to be more, or less (negative).
  void correct(std::int64_t per_minute, std::int64_t cost);

  // Whether all of it was there at a moment after `since`: what was taken until then has come back,
  // and what came back beyond a minute's worth is lost.
  bool was_full(TimePoint since, TimePoint now) const;

 private:
  // Nanoseconds of the steady clock.
  std::atomic<std::int64_t> full_at_{0};
  std::atomic<std::int64_t> was_full_at_{0};  // When last something was taken of all there can be.
};

}  // namespace spillway::policy
