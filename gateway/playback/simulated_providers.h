// The providers of a policy on a virtual clock: each of its targets, server by server, and what an
// answer of it costs by the policy's own prices. One thread; asked in order of time.
#pragma once

#include "gateway/playback/simulation.h"
#include "gateway/policy/plan.h"
#include "gateway/simulate/configured_cloud.h"
#include "gateway/simulate/trace.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// What the setup says of providers, for a trace of this length.
simulate::CloudWorld cloud_world(const SimulationSetup& setup, double length);

class SimulatedProviders {
 public:
  SimulatedProviders(const SimulationSetup& setup, const simulate::Replay& replay);

  // In Settings::providers. Requires: it is one of them.
  int place_of(std::string_view target) const { return place_of_.find(target)->second; }

  simulate::CloudReply ask(int place, std::size_t server, const simulate::TraceRequest& request,
                           int attempt, double now);

  config::NanoUsd cost_of(const policy::Candidate& candidate, const simulate::TraceRequest& request,
                          const simulate::CloudReply& reply) const;

 private:
  const config::Settings& settings_;
  const simulate::Replay& replay_;
  std::vector<std::vector<simulate::CloudProvider>> servers_;  // By place.
  std::map<std::string, int, std::less<>> place_of_;
};

}  // namespace spillway
