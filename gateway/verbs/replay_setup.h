// A trace and the world it is replayed in, from a verb's options: what `simulate` and `diff` have
// in common. Mistakes are printed to stderr.
#pragma once

#include "gateway/playback/simulation.h"
#include "gateway/verbs/given.h"
#include "gateway/verbs/options.h"

#include <optional>
#include <string>
#include <vector>

namespace spillway::verbs {

struct ReplaySetup {
  simulate::Replay replay;
  SimulationSetup setup;  // Without a policy.
};

void declare_replay(Options& options);

// `policy`: the file in force, which the trace's names are of and whose classes its requests were
// asked for by.
Given<ReplaySetup> read_replay(const Options& options, const std::string& policy);

std::optional<SimulationSetup> with_policy(const ReplaySetup& replay, const std::string& path);

std::optional<std::vector<SimulatedAnswer>> simulated(const SimulationSetup& setup,
                                                      const simulate::Replay& replay);

}  // namespace spillway::verbs
