// What a target that does one thing after another has before it, and how fast it gets through: how
// long an encoder of this machine takes.
//
// Pure state: time is passed in. Not thread-safe: whoever shares it guards it.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/status.h"

#include <array>
#include <cstddef>

namespace spillway::policy {

class Backlog {
 public:
  // So many tokens are to be read.
  void begin(Lane lane, int tokens, TimePoint now);

  // They were.
  void done(Lane lane, int tokens, TimePoint now);

  // They need not be any more.
  void dropped(Lane lane, int tokens) { remove(lane, tokens); }

  int tokens(Lane lane) const { return tokens_[static_cast<std::size_t>(lane)]; }

  // Of late, while there was something to do; 0: nothing was done yet.
  double tokens_per_second() const { return busy_seconds_ > 0.0 ? read_ / busy_seconds_ : 0.0; }

 private:
  void remove(Lane lane, int tokens);

  std::array<int, 2> tokens_{};  // By lane.
  int jobs_ = 0;
  TimePoint since_{};  // It has been at work, without having done anything.
  double read_ = 0.0;  // Both count half after a while.
  double busy_seconds_ = 0.0;
};

}  // namespace spillway::policy
