// One batch while it runs. On the thread of the batches.
#pragma once

#include "gateway/background/bell.h"
#include "gateway/batch/batch.h"
#include "gateway/wall_clock.h"

#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <list>
#include <optional>
#include <vector>

namespace spillway {

inline constexpr int kNoLine = std::numeric_limits<int>::max();

struct BatchWork {
  batch::Batch about;
  bool cancelled = false;           // Its client wants no more of it,
  batch::Seconds cancelled_at = 0;  // …since then, or since the start.
  Bell given_up;                    // Rings when it is, or the gateway stops.
  int round = 0;                    // Which its lines are in.

  int alive = 0;                                        // Lines that were begun and have not ended.
  Bell changed;                                         // Rings when one ends.
  std::list<boost::asio::cancellation_signal> running;  // Reaches them.

  std::vector<batch::LineResult> results;  // Not written yet.
  std::uint64_t queued = 0;                // Results so far…
  std::uint64_t recorded = 0;              // …and those of them that are safe.
  bool recording = false;
  Bell written;

  // What leaves in providers' batches.
  int begun_up_to = 0;               // The last line that was begun in this round.
  int begin_below = kNoLine;         // The lines from here on are being handed over, and not begun.
  int handings = 0;                  // So often some were: what was fetched before is out of date.
  bool may_hand_over = false;        // It is not too late for that.
  std::optional<TimePoint> look_at;  // When that is thought about again.
  bool lines_over = false;           // There is nothing to think about any more.
  int lines_away = 0;                // At providers.
  int returns = 0;                   // So often some came back without an answer.
  int aside = 0;                     // Coroutines that see to it.
  TimePoint began{};
  int lines_here = 0;  // Answered by the local engine since.

  std::int64_t lines_waiting() const {
    const std::int64_t left = about.lines_left() - lines_away;
    return std::max<std::int64_t>(0, left - static_cast<std::int64_t>(recorded));
  }

  Deadline expiry() const {
    const auto left = std::max<std::int64_t>(0, about.expires - unix_seconds());
    return SteadyClock::now() + std::chrono::seconds(left);
  }
};

}  // namespace spillway
