// Everything to the local engine at its arrival: the simplest policy, as a yardstick.
//
// The published figures of the reference model were made so: engine and rules with their defaults,
// load = share of the saturation rate, scale = share · saturation / (rows / length); an interactive
// request counts as served well if its TTFT is within its limit and its mean time per further token
// within 50 ms; the node's cost counts until the later of the trace's end and the last finish.
#pragma once

#include "gateway/simulate/node_cost.h"
#include "gateway/simulate/reference_engine.h"
#include "gateway/simulate/trace.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace spillway::simulate {

struct Served {
  double first_token = 0.0;
  double finish = 0.0;
};

// In the order of the requests. Ids are given anew, so that they are indices.
inline std::vector<Served> serve_all(const Replay& replay, const ReferenceEngineParams& params) {
  ReferenceEngine engine(params);
  std::vector<Served> served(replay.requests.size());
  const auto note = [&](std::span<const EngineEvent> events) {
    for (const EngineEvent& event : events) {
      if (event.kind == EngineEventKind::first_token) served[event.id].first_token = event.at;
      if (event.kind == EngineEventKind::finished) served[event.id].finish = event.at;
    }
  };
  for (std::size_t i = 0; i < replay.requests.size(); ++i) {
    const TraceRequest& request = replay.requests[i];
    note(engine.advance(request.at));
    engine.hand_in({.id = i,
                    .prompt_tokens = request.prompt_tokens,
                    .completion_tokens = request.completion_tokens,
                    .completion_cap = 4'096,
                    .batch = request.batch,
                    .prefix_ids = replay.prefix_of(request)},
                   request.at);
  }
  note(engine.advance(1e12));
  return served;
}

struct AllLocalFigures {
  double attainment = 0.0;       // Percent of interactive requests.
  double usd_per_million = 0.0;  // Tokens.
  double last_finish = 0.0;
};

inline AllLocalFigures figures_of(const Replay& replay, const std::vector<Served>& served) {
  constexpr double kPerToken = 0.050;
  AllLocalFigures figures;
  double tokens = 0.0;
  int interactive = 0;
  int well = 0;
  for (std::size_t i = 0; i < served.size(); ++i) {
    const TraceRequest& request = replay.requests[i];
    tokens += request.prompt_tokens + request.completion_tokens;
    figures.last_finish = std::max(figures.last_finish, served[i].finish);
    if (request.batch) continue;
    ++interactive;
    const double further = std::max(1, request.completion_tokens - 1);
    const double per_token = (served[i].finish - served[i].first_token) / further;
    const bool in_time = served[i].first_token - request.at <= request.ttft_slo;
    if (in_time && per_token <= kPerToken) ++well;
  }
  figures.attainment = 100.0 * well / interactive;
  const double hours = std::max(replay.length, figures.last_finish) / 3'600.0;
  figures.usd_per_million = NodeCost{}.usd_per_hour() * hours / tokens * 1e6;
  return figures;
}

}  // namespace spillway::simulate
