// An engine of this process, one or several behind one door, as another process asks it: answers go
// to any Outlet.
#pragma once

#include "backends/contract/outlet.h"
#include "backends/local/engine/engine_door.h"

#include <functional>
#include <memory>

namespace spillway::local {

// `on_room` is to be called when the outlet is no longer full, and when it is abandoned.
using MakeOutlet = std::function<std::shared_ptr<Outlet>(std::function<void()> on_room)>;

class InProcessEngine : public EngineDoor {
 public:
  // As EngineDoor's, but for the Bridge.
  using EngineDoor::submit;
  virtual Result<void> submit(Ask ask, const MakeOutlet& make_outlet) = 0;

  // Makes each engine thread look around, and tell its observer what it sees.
  virtual void nudge() = 0;
};

}  // namespace spillway::local
