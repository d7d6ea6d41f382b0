// A replay of a trace through the real policy on a virtual clock: the router, the held work and the
// fleet's memory are those that serve; only the engine and the providers are models
// (gateway/simulate), and time is passed in.
//
// Deterministic: the same setup gives the same outcomes. No decision sees anything that lies after
// it; the length of an answer is known to nobody before its end. One thread.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/simulate/configured_cloud.h"
#include "gateway/simulate/reference_engine.h"
#include "gateway/simulate/trace.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

struct SimulationSetup {
  std::shared_ptr<const config::Settings> settings;
  simulate::ReferenceEngineParams engine;
  std::uint64_t seed = 1;
  double cloud_slowdown = 1.0;
  bool overload = true;    // One provider's episode of failing and slowness…
  std::string overloaded;  // …this one's; empty: whose is usual (simulate/configured_cloud.h).
  std::map<std::string, double, std::less<>> failing;  // Shares that fail, by provider.
  std::map<std::string, simulate::MeasuredCloud, std::less<>> measured;  // By the gateway's log.
  policy::WallClock starts;  // What the clock on the wall says when the trace begins.
  std::string model = "auto";
  std::string batch_class = "batch";  // The class that batch rows ask for by name.
  // What is left out of the policy's knowledge, to see what it is good for.
  bool without_drift = false;  // An engine's pace is its profile's, whatever it was of late.
  bool without_worth = false;  // Held work does not tell what a GPU second is worth.
};

// What became of one request. Times in seconds from the trace's start.
struct SimulatedAnswer {
  double decided = 0.0;  // For good: where it was held, when it was let go.
  double sent = 0.0;     // To the target that answered.
  double first_token = 0.0;
  double finish = 0.0;
  int provider = -1;  // In Settings::providers; -1: the local engine.
  policy::Reason reason = policy::Reason::local_meets_sla;
  std::optional<Errc> refusal;  // The policy refused it: `reason` says nothing.
  std::string rule;             // That decided or refused; empty: none did.
  config::NanoUsd cost = 0;
  int attempts = 0;             // At providers.
  double predicted_ttft = 0.0;  // Local, in the foreground…
  double ttft_bound = 0.0;      // …and what 95 of 100 should stay within.
  bool failed = false;          // Nobody answered.
  // Whom its plan would have tried one after the other, if a provider came first: each as
  // `provider` above, used or not.
  policy::ShortList<std::int8_t> order;
};

// In the order of the replay's requests. invalid_request: the policy has no class of batch_class's
// name, or no such model. What a request of the trace names and the policy does not have is refused
// to that request.
Result<std::vector<SimulatedAnswer>> simulate_replay(const SimulationSetup& setup,
                                                     const simulate::Replay& replay);

}  // namespace spillway
