// Where an answer broke off and another target says it, what of that is already with the client.
//
// On the request's coroutine. What is passed over is counted in the successor's part.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/request/dispatch.h"
#include "gateway/request/parts.h"

#include <string>

namespace spillway {

// What the client has of the answer.
struct Delivered {
  std::string text;
  bool plain = true;  // Nothing but text, and not too long: what others can go on with.

  void add(const Delta& delta);
  bool nothing() const { return plain && text.empty(); }
};

// `opened` says the answer all again: passes over what the client has, so that the first piece is
// what comes after it. False: its answer is another one.
Async<bool> catch_up(Opened& opened, const Delivered& delivered, Deadline deadline, Part& part);

// `opened` was asked to go on. Some providers take that for a message like any other and begin
// again: what is word for word the beginning that the client has is not said twice. False: it ended
// before it said anything else.
Async<bool> drop_repetition(Opened& opened, const Delivered& delivered, Deadline deadline,
                            Part& part);

}  // namespace spillway
