// What a request that is over tells policy::Feedback. Pure.
#pragma once

#include "gateway/policy/feedback.h"
#include "gateway/request/receipt.h"

namespace spillway {

// Requires: its cost is known.
policy::Settled settled_of(const Receipt& receipt);

}  // namespace spillway
