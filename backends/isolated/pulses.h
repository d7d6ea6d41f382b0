// Which of several engines is silent for too long while there is work.
//
// Any of them may be next to be asked for something, so that each must be heard of; one that has
// nothing to tell answers a nudge. Of one thread.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/status.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

namespace spillway::isolated {

class Pulses {
 public:
  explicit Pulses(std::chrono::milliseconds patience) : patience_(patience) {}

  void begin(const std::vector<EngineStatus>& replicas, TimePoint now);
  void heard(std::size_t replica, TimePoint now);
  void ended(std::size_t replica) { last_.erase(replica); }
  std::size_t replicas() const { return replicas_; }  // The ended ones, too.
  void excuse(TimePoint now);                         // All of them: there was nothing to hear.

  std::optional<std::size_t> silent(TimePoint now) const;
  // One has been for half of that, and was not nudged since.
  bool wants_nudge(TimePoint now);

 private:
  struct Pulse {
    TimePoint heard;
    bool nudged = false;  // Since.
  };

  const std::chrono::milliseconds patience_;
  std::size_t replicas_ = 0;
  std::map<std::size_t, Pulse> last_;  // Of those that are ready.
};

}  // namespace spillway::isolated
