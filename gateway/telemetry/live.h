// The gateway's state at the moment of a scrape, as plain values: gateway.cpp fills it from the
// rooms that know.
#pragma once

#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "gateway/telemetry/series_store.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::telemetry {

template <std::size_t N>
Distribution distribution_of(const StepHistogram<N>& histogram) {
  return {.bounds = {histogram.bounds.begin(), histogram.bounds.end()},
          .cumulative = {histogram.buckets.begin(), histogram.buckets.end()},
          .sum = histogram.sum};
}

enum class Circuit { closed = 0, half_open = 1, open = 2 };

struct TargetState {
  std::string name;
  int in_flight = 0;
  int queued = 0;
  bool up = false;                 // Takes requests.
  std::optional<Circuit> circuit;  // Providers only.
  std::uint64_t times_opened = 0;  // Of the breaker.
};

// One of a provider's servers.
struct ServerState {
  std::string target;
  std::string server;  // "10.0.0.1:8000"
  int in_flight = 0;
  bool up = false;
  double ttft_p50 = 0.0;                                      // Seconds.
  std::vector<std::pair<std::string, std::uint64_t>> chosen;  // By why, all of them.
};

struct EngineState {
  std::string target;
  std::string model;  // As served: the label of vLLM's series.
  EngineStatus status;
  EngineCounters counters;
  std::uint64_t restarts = 0;  // Of its process.
};

struct ListenerState {
  std::string name;  // "api", "admin"
  std::int64_t open_connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t accept_errors = 0;
  std::vector<std::pair<std::string, std::uint64_t>> parse_rejects;  // By reason, all of them.
};

struct LedgerState {
  std::string store;  // "sqlite", "postgres"
  Distribution append_seconds;
  std::uint64_t entries = 0;
  std::int64_t lag = 0;
  std::uint64_t errors = 0;
  std::uint64_t in_doubt = 0;
};

// A tenant with a budget. Amounts in USD.
struct BudgetState {
  struct Window {
    std::string name;  // "day", "month"
    double limit = 0.0;
    double spent = 0.0;
  };
  std::string tenant;
  std::vector<Window> windows;
  double held = 0.0;
  double overshoot = 0.0;
};

struct LimitState {
  std::string kind;  // "requests", "tokens", "concurrency"
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
};

// Requests that brought an idempotency key, and further tries that got a lost answer.
struct RepeatState {
  std::uint64_t first = 0;
  std::uint64_t replayed = 0;
  std::uint64_t refused = 0;
  std::uint64_t redelivered = 0;
};

// What a policy that decides in the shadow would have done. Amounts in USD.
struct ShadowCounts {
  struct Move {
    std::string request_class;
    std::string from;
    std::string to;
    std::uint64_t requests = 0;
  };
  std::uint64_t agreed = 0;
  std::uint64_t differed = 0;
  std::uint64_t skipped = 0;
  double cost_in_force = 0.0;
  double cost_of_shadow = 0.0;
  std::vector<Move> moves;
};

// Requests while a policy was tried on a share of the keys.
struct CanaryCounts {
  struct Ended {
    std::string side;
    std::string outcome;
    std::uint64_t requests = 0;
  };
  double share = 0.0;                                       // 0: none is tried now.
  std::vector<Ended> requests;                              // All of them.
  std::vector<std::pair<std::string, std::uint64_t>> ends;  // By how, all of them.
};

// What clients have stored.
struct StoredState {
  std::vector<std::pair<std::string, std::int64_t>> batches;  // By state, all of them.
  std::int64_t lines_waiting = 0;                             // Of batches.
  std::uint64_t lines_completed = 0;                          // Since the start.
  std::uint64_t lines_failed = 0;
  std::int64_t lines_handed_over = 0;   // That are at providers.
  std::uint64_t handovers = 0;          // Since the start,
  std::uint64_t lines_handed_back = 0;  // …and the lines that came back from them unanswered.
  std::uint64_t file_bytes = 0;
};

// What a class's feedback has come to, or its own settings without it.
struct TermsState {
  std::string request_class;
  double ttft_headroom = 1.0;
  double promise_price = 1.0;
};

struct LiveState {
  int admitted = 0;               // Requests inside the gateway.
  int held = 0;                   // Of these, in the waiting room.
  double held_pressure = 0.0;     // See policy::HeldWork.
  std::vector<TermsState> terms;  // Of all classes.
  std::optional<StoredState> stored;
  std::vector<TargetState> targets;
  std::vector<ServerState> servers;
  std::vector<EngineState> engines;
  std::vector<ListenerState> listeners;
  std::uint64_t log_dropped = 0;  // Lines.
  std::optional<LedgerState> ledger;
  std::vector<BudgetState> budgets;
  std::vector<LimitState> limits;
  std::optional<RepeatState> repeats;
  std::optional<ShadowCounts> shadow;
  std::optional<CanaryCounts> canary;
  std::vector<std::pair<std::string, std::uint64_t>> watches;  // Over policies, by their end.
};

// The samples of the `live` rows that `state` speaks of.
std::vector<LiveSample> samples_of(const LiveState& state);

// The same engines under vLLM's names.
std::vector<LiveSample> alias_samples_of(const LiveState& state);

}  // namespace spillway::telemetry
