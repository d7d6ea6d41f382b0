// Told of whatever changes in an engine, so that a picture of it can be kept elsewhere.
//
// On the thread that changes it, under the engine's locks: it may not call the engine, and must
// outlive it.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/error.h"
#include "backends/contract/status.h"
#include "backends/local/kv/prefix_observer.h"

#include <optional>

namespace spillway::local {

class EngineObserver : public PrefixObserver {
 public:
  // `status.step_elapsed` is to be reckoned from `step_began`.
  virtual void changed(const EngineStatus& status, std::optional<TimePoint> step_began,
                       const EngineCounters& counters) = 0;

  // Nothing more changes for now. Where a step is under way that may be so after each change, too;
  // where none is, another change or this follows at once.
  virtual void caught_up() = 0;

  // It runs nothing more, and all that it ran has been told so.
  virtual void ended(const Error& why) = 0;
};

}  // namespace spillway::local
