// Where a condition reckons with what may be no number, so that it does not hold, or holds, against
// its look. Says so only where nothing else in the condition asks about it first. Pure.
#pragma once

#include "config/language/tree.h"

#include <vector>

namespace spillway::language {

struct Trap {
  FactRef fact;
  bool divisor = false;  // What divides may be 0; else it may be infinite where both sides are.
  bool operator==(const Trap&) const = default;
};

std::vector<Trap> traps(const Tree& tree);

}  // namespace spillway::language
