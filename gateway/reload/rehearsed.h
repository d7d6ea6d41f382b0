// What the last decisions come to under a policy that is to take over, beside the one in force. A
// plain value.
#pragma once

#include "config/settings.h"
#include "gateway/reload/moves.h"

#include <cstddef>
#include <string>
#include <vector>

namespace spillway {

struct Rehearsed {
  std::size_t decisions = 0;
  std::size_t moved = 0;  // Another target comes first, or it is held, or no more:
  std::vector<Move> moves;
  std::size_t stranded = 0;         // It could go somewhere, and can go nowhere now.
  std::string example;              // Of one that is stranded: what is asked, and why it may not.
  std::size_t unauthenticated = 0;  // Its key is known now, and is not then: 401.

  std::size_t sent = 0;             // Both send it somewhere; of these:
  config::NanoUsd cost_before = 0;  // Expected.
  config::NanoUsd cost_after = 0;
  config::NanoUsd cost_cheapest = 0;  // Had the cheapest provider answered all of them.
  std::size_t in_time_before = 0;     // Expected to keep the promises in force.
  std::size_t in_time_after = 0;
};

// What would become of a file that is in order.
struct Tried {
  Rehearsed rehearsal;
  std::string objections;  // Why a reload would refuse it; empty: it would not.
};

// What became of a file that was read and not refused.
struct Reloaded {
  Rehearsed rehearsal;
  double share = 1.0;  // Of the keys that are under it now.
};

}  // namespace spillway
