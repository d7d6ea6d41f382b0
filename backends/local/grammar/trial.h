// Whether a compiled form says quickly enough which tokens may come: some grammars can be read in
// so many ways that each token takes seconds.
//
// Takes milliseconds, of the thread that calls it.
#pragma once

#include "backends/local/grammar/grammar.h"

namespace spillway::local::grammar {

// Draws some answers at random, up to where they are slow. `end_ids` are taken last.
bool is_quick(const Grammar& grammar, const std::vector<std::int32_t>& end_ids);

}  // namespace spillway::local::grammar
