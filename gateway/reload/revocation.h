// What a file takes away from the keys in force: that is gone at once, whatever else of the file is
// refused, tried on some keys or rolled back. What it adds to them waits for the rest. Pure.
#pragma once

#include "config/settings.h"

#include <memory>
#include <vector>

namespace spillway {

// The same settings with keys that are no more than both say: who is not among `keys` is gone, the
// others have their secret from there. Null: nothing is taken away. Without any `keys` nothing is,
// for that lets everybody in.
std::shared_ptr<const config::Settings> with_less(const config::Settings& in_force,
                                                  const std::vector<config::Key>& keys);

}  // namespace spillway
