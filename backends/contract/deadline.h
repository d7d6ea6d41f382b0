// Time: one monotonic clock, and deadlines that travel with a request. Never the wall clock.
#pragma once

#include <chrono>

namespace spillway {

using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;
using Deadline = TimePoint;

inline double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

inline SteadyClock::duration from_seconds(double seconds) {
  return std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace spillway
