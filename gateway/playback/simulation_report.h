// The figures of a simulated replay: promises kept, response times, money, and where the requests
// went. Pure.
#pragma once

#include "gateway/playback/simulation.h"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace spillway {

struct Quantiles3 {
  double p50 = 0.0, p90 = 0.0, p99 = 0.0;
};

struct SimulationFigures {
  std::size_t interactive = 0;
  std::size_t batch = 0;
  std::size_t failed = 0;
  double attainment = 0.0;  // Percent of interactive requests within TTFT and time per token.
  double in_time = 0.0;     // Percent of batch requests done by their deadline.
  Quantiles3 ttft;          // Seconds, interactive.
  Quantiles3 response;      // Seconds from arrival to the last token, interactive.
  double response_mean = 0.0;
  double cloud_usd = 0.0;
  double node_usd = 0.0;         // By the reference's price; 0 without a local target.
  double priced_node_usd = 0.0;  // By what the policy's file says that its node costs; 0: nothing.
  int held_most = 0;             // Requests that stood waiting at the gateway at once.
  double usd_per_million = 0.0;  // Of all tokens answered, prompt and completion…
  double priced_per_million = 0.0;  // …with the file's price of the node.
  double prediction_error = 0.0;    // Median of |predicted − observed| ÷ observed local TTFT.
  double bound_kept = 0.0;          // Percent of these within the bound for 95 of 100.
  struct Share {
    int requests = 0;
    int broken = 0;  // Promises.
  };
  std::map<std::string, Share> targets;  // "local", or the provider's name.
  std::map<std::string, Share> reasons;
  struct OfClass {
    Share share;
    Quantiles3 ttft;
    double cloud_usd = 0.0;
  };
  std::map<std::string, OfClass> classes;
};

// Requests that wait (TracePromise) count as batch, all others as interactive; each is held to what
// it is promised. `promises_of`: in place of the setup's own policy, so that one that promises less
// does not look better.
SimulationFigures figures_of(const SimulationSetup& setup, const simulate::Replay& replay,
                             const std::vector<SimulatedAnswer>& answers,
                             const SimulationSetup* promises_of = nullptr);

// Who answered: "local", the provider's name, or "nobody".
std::string target_of(const SimulationSetup& setup, const SimulatedAnswer& answer);

// As in x-spillway-reason; of what is refused the error's code.
std::string reason_of(const SimulatedAnswer& answer);

void print_figures(const SimulationFigures& figures, std::FILE* out);

// CSV `id,at_ms,target`: when it was decided where each request goes: `local`, `local-batch`, a
// provider's name, or `nobody`. After a provider the others that would be tried follow as further
// rows of its id, in their order and used or not: another simulator may draw other failures.
bool write_decisions(const std::string& path, const SimulationSetup& setup,
                     const simulate::Replay& replay, const std::vector<SimulatedAnswer>& answers);

}  // namespace spillway
