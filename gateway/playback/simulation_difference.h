// Two policies on one trace: which requests went elsewhere. Pure.
#pragma once

#include "gateway/playback/simulation_report.h"

#include <cstdio>
#include <vector>

namespace spillway {

struct SimulatedSide {
  const SimulationSetup& setup;
  const std::vector<SimulatedAnswer>& answers;
};

// Prints the moves (from where to where, with their spend), both figures side by side with the
// difference, both held to what `before` promises, and the first `examples` requests that moved.
void print_difference(const simulate::Replay& replay, const SimulatedSide& before,
                      const SimulatedSide& after, int examples, std::FILE* out);

}  // namespace spillway
