// The queue of the room that several engines share (shared_room.h), in plain values, and what a
// look at them all tells.
//
// The room has one, and who watches the room from another process has another, to which the same is
// done in the same order: both tell the same. No locks; its owner's.
#pragma once

#include "backends/contract/dealing.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace spillway::local {

// Those who have one prompt, and stay together.
struct WaitingPlace {
  std::uint64_t id = 0;  // Of the first; the others' follow.
  std::vector<SequenceStatus> sequences;
  std::vector<int> cached;  // Of their prompt, in each engine, when they came.

  Lane lane() const { return sequences.front().lane; }
  // Whose prompt is to be found where, so that its cost there can be told.
  SequenceStatus prompt() const;
  // What they are to the engine that begins with them.
  std::vector<SequenceStatus> begun_at(std::size_t engine) const;
  void deal_to(std::size_t engine, Dealing& dealing) const;
};
using WaitingPlaces = std::deque<WaitingPlace>;

class SharedQueue {
 public:
  // Lane by lane, and in a lane the oldest first.
  const WaitingPlaces& places() const { return places_; }
  // Of those who did not come to an engine.
  const EngineCounters& counters() const { return counters_; }

  void add(WaitingPlace place);
  void refuse(int sequences);  // So many were not taken in.
  // Of this id; nothing if there is none. `leave`: its consumer has left.
  std::optional<WaitingPlace> take(std::uint64_t id);
  std::optional<WaitingPlace> leave(std::uint64_t id);
  void fail();  // All who wait.

 private:
  WaitingPlaces places_;
  EngineCounters counters_;
};

// Those that are ready, as one, without those who wait for whichever comes first. Requires: there
// is one.
EngineStatus sum_of(std::vector<EngineStatus> engines);
void add_waiting(const WaitingPlaces& places, EngineStatus& sum);

// As they would begin if nobody else came.
void deal_out(const WaitingPlaces& places, Dealing& dealing);

// What of a prompt is cached as far as it counts: less what it costs to begin where it is cached,
// and not where the way is shortest. `cached`: of each engine; `dealing` has those who wait.
int worth_of_cache(std::span<const int> cached, int prompt_tokens, const Dealing& dealing,
                   std::span<const EngineStatus> engines);

}  // namespace spillway::local
