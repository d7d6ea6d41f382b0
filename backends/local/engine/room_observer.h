// Told of whatever changes in the room that several engines share, so that its queue can be kept
// elsewhere, too (shared_queue.h).
//
// On the thread that changes it, under the room's lock: it may not call the room, and must outlive
// it.
#pragma once

#include "backends/local/engine/engine_observer.h"
#include "backends/local/engine/shared_queue.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spillway::local {

class RoomObserver {
 public:
  virtual ~RoomObserver() = default;

  virtual void came(const WaitingPlace& place) = 0;
  virtual void refused(int sequences) = 0;
  virtual void left(std::uint64_t place) = 0;
  // An engine begins with those there; what it says next of itself has them.
  virtual void taken(std::uint64_t place, std::size_t engine) = 0;
};

// Of engines: one for each, or none at all; and of their room, if they share one.
struct Observers {
  std::vector<EngineObserver*> engines;
  RoomObserver* room = nullptr;
};

}  // namespace spillway::local
