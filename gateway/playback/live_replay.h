// A replay of a trace in real time: a whole gateway in this process, its engine at the reference
// model's pace (executor: synthetic), the providers simulated behind real HTTP, and a client for
// each request. What `simulate_replay` foretells of the same setup, as it comes out.
//
// Blocks for as long as the replay and its last answers take. Threads: the gateway's, the
// providers', one a request while it is under way.
#pragma once

#include "gateway/playback/simulation.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace spillway {

struct LiveOutcome {
  std::vector<SimulatedAnswer> answers;         // In the order of the replay's requests.
  simulate::ReferenceEngineParams engine;       // The setup's, with the pace that it really had.
  std::map<std::string, std::size_t> troubles;  // What clients were told, how often.
};

// `tell` hears every few seconds how long it has gone on, and of how many answers ended. Fails as
// simulate_replay does, and where the gateway does not start.
Result<LiveOutcome> replay_live(const SimulationSetup& setup, const simulate::Replay& replay,
                                const std::function<void(double, std::size_t)>& tell);

}  // namespace spillway
