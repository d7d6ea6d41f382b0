// What the last decisions come to under a policy that is to take over, beside the one in force. A
// plain value.
#pragma once

#include "config/settings.h"

#include <cstddef>
#include <string>

namespace spillway {

struct Rehearsed {
  std::size_t decisions = 0;
  std::size_t moved = 0;            // Another target comes first, or it is held, or no more.
  std::size_t stranded = 0;         // It could go somewhere, and can go nowhere now.
  config::NanoUsd cost_before = 0;  // Expected, of those that both send somewhere.
  config::NanoUsd cost_after = 0;
  std::string example;  // Of one that is stranded: what is asked, and why it may not.
};

}  // namespace spillway
