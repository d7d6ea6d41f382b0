// Told of whatever changes in an engine, so that a picture of it can be kept elsewhere.
//
// On the thread that changes it, under the engine's locks: it may not call the engine, and must
// outlive it.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "backends/local/kv/prefix_observer.h"

#include <optional>

namespace spillway::local {

class EngineObserver : public PrefixObserver {
 public:
  // `status.step_elapsed` is to be reckoned from `step_began`.
  virtual void changed(const EngineStatus& status, std::optional<TimePoint> step_began,
                       const EngineCounters& counters) = 0;
};

}  // namespace spillway::local
