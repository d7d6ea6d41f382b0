// One batch while it runs. On the thread of the batches.
#pragma once

#include "gateway/background/batch_runner.h"
#include "gateway/background/bell.h"
#include "gateway/batch/batch.h"
#include "gateway/wall_clock.h"

#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <list>
#include <vector>

namespace spillway {

struct BatchRunner::Work {
  batch::Batch about;
  bool cancelled = false;  // Its client wants no more of it.
  Bell given_up;           // Rings when it is, or the gateway stops.
  int round = 0;           // Which its lines are in.

  int alive = 0;                                        // Lines that were begun and have not ended.
  Bell changed;                                         // Rings when one ends.
  std::list<boost::asio::cancellation_signal> running;  // Reaches them.

  std::vector<batch::LineResult> results;  // Not written yet.
  std::uint64_t queued = 0;                // Results so far…
  std::uint64_t recorded = 0;              // …and those of them that are safe.
  bool recording = false;
  Bell written;

  std::int64_t lines_waiting() const {
    return std::max<std::int64_t>(0, about.lines_left() - static_cast<std::int64_t>(recorded));
  }

  Deadline expiry() const {
    const auto left = std::max<std::int64_t>(0, about.expires - unix_seconds());
    return SteadyClock::now() + std::chrono::seconds(left);
  }
};

}  // namespace spillway
