// Where a producer (the engine, cloud) puts the pieces of one answer, and learns whether anybody
// still wants them: the near end of a Bridge, or of what leads to one in another process.
//
// Any thread, one at a time. Nothing here waits for whoever reads the answer.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"

namespace spillway {

class Outlet {
 public:
  virtual ~Outlet() = default;

  virtual void push(Delta delta) = 0;  // Ignored after finish, fail or once abandoned.
  virtual void finish() = 0;           // No more pieces.
  virtual void fail(Error error) = 0;  // As finish, but the answer ends with this error.
  virtual bool full() = 0;             // True: pause, and go on once told that there is room.
  virtual bool abandoned() const = 0;  // Nobody reads any more: stop the work.
};

}  // namespace spillway
