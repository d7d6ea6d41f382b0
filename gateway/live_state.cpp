#include "gateway/live_state.h"

#include "gateway/account/usage.h"

#include <string>
#include <utility>

namespace spillway {
namespace {

using account::in_usd;

telemetry::Circuit circuit_of(policy::Permission permission) {
  switch (permission) {
    case policy::Permission::closed: return telemetry::Circuit::closed;
    case policy::Permission::probe: return telemetry::Circuit::half_open;
    case policy::Permission::open: return telemetry::Circuit::open;
  }
  return telemetry::Circuit::open;
}

}  // namespace

telemetry::TargetState target_state(const ProviderGauges& provider) {
  telemetry::TargetState state;
  state.name = provider.facts.name;
  state.in_flight = provider.facts.in_flight;
  state.up = provider.facts.permission != policy::Permission::open;
  state.circuit = circuit_of(provider.facts.permission);
  state.times_opened = static_cast<std::uint64_t>(provider.times_opened);
  return state;
}

void add_servers(const ProviderGauges& provider, telemetry::LiveState& state) {
  for (const policy::Servers::Gauge& gauge : provider.servers) {
    telemetry::ServerState server;
    server.target = provider.facts.name;
    server.server = gauge.address;
    server.in_flight = gauge.facts.in_flight;
    server.up = gauge.facts.permission != policy::Permission::open;
    server.ttft_p50 = gauge.facts.ttft_p50;
    for (std::size_t i = 0; i < policy::kChosen; ++i) {
      const auto why = policy::name_of(static_cast<policy::Chosen>(i));
      server.chosen.emplace_back(why, gauge.chosen[i]);
    }
    state.servers.push_back(std::move(server));
  }
}

telemetry::TargetState target_state(std::string_view local_name, const EngineStatus& engine) {
  telemetry::TargetState state;
  state.name = local_name;
  state.in_flight = static_cast<int>(engine.running.size());
  state.queued = static_cast<int>(engine.waiting.size());
  state.up = engine.ready;
  return state;
}

std::string lost_replicas(const EngineStatus& engine) {
  const int all = static_cast<int>(engine.replicas.size());
  const int lost = engine.replicas.empty() ? 0 : all - engine.engines();
  if (lost == 0) return {};
  return std::to_string(lost) + " of " + std::to_string(all) +
         " replicas of the local engine failed";
}

telemetry::LedgerState ledger_state(std::string_view store,
                                    const account::LedgerCounters& counters) {
  telemetry::LedgerState state;
  state.store = store;
  state.append_seconds = telemetry::distribution_of(counters.append_seconds);
  state.entries = counters.entries;
  state.lag = counters.lag;
  state.errors = counters.errors;
  state.in_doubt = counters.in_doubt;
  return state;
}

std::vector<telemetry::BudgetState> budget_states(const config::Settings& settings,
                                                  const std::vector<account::PurseGauge>& purses) {
  std::vector<telemetry::BudgetState> states;
  for (const config::Tenant& tenant : settings.tenants) {
    if (!tenant.budget.limited()) continue;
    account::Purse::State purse;
    for (const account::PurseGauge& one : purses) {
      if (one.tenant == tenant.name) purse = one.state;
    }
    telemetry::BudgetState state;
    state.tenant = tenant.name;
    if (tenant.budget.day)
      state.windows.push_back({"day", in_usd(*tenant.budget.day), in_usd(purse.day)});
    if (tenant.budget.month)
      state.windows.push_back({"month", in_usd(*tenant.budget.month), in_usd(purse.month)});
    state.held = in_usd(purse.held);
    state.overshoot = in_usd(purse.overshoot);
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<telemetry::LimitState> limit_states(const account::Limiter& limiter) {
  std::vector<telemetry::LimitState> states;
  for (const account::Limiter::Check& check : limiter.checks())
    states.push_back({std::string(account::name_of(check.kind)), check.allowed, check.refused});
  return states;
}

telemetry::RepeatState repeat_state(const Repeats::Counts& counts) {
  return {counts.first, counts.replayed, counts.refused, counts.redelivered};
}

telemetry::ShadowCounts shadow_counts(const ShadowState& shadow) {
  telemetry::ShadowCounts counts{shadow.agreed,
                                 shadow.differed,
                                 shadow.skipped,
                                 in_usd(shadow.cost_in_force),
                                 in_usd(shadow.cost_of_shadow),
                                 {}};
  for (const Move& move : shadow.moves)
    counts.moves.push_back({move.request_class, move.from, move.to, move.requests});
  return counts;
}

telemetry::CanaryCounts canary_counts(const CanaryState& canary) {
  telemetry::CanaryCounts counts;
  counts.share = canary.runs ? canary.share : 0.0;
  for (const auto& [side, ended] :
       {std::pair("stable", canary.of_all.stable), {"canary", canary.of_all.canary}}) {
    counts.requests.push_back({side, "attained", ended.attained});
    counts.requests.push_back({side, "missed", ended.missed});
    counts.requests.push_back({side, "failed", ended.failed});
    counts.requests.push_back({side, "unpromised", ended.unpromised});
  }
  for (std::size_t i = 0; i < kCanaryEnds; ++i)
    counts.ends.emplace_back(name_of(static_cast<CanaryEnd>(i)), canary.ends[i]);
  return counts;
}

std::vector<std::pair<std::string, std::uint64_t>> watch_counts(const WatchState& watch) {
  std::vector<std::pair<std::string, std::uint64_t>> counts;
  for (std::size_t i = 0; i < kWatchEnds; ++i)
    counts.emplace_back(name_of(static_cast<WatchEnd>(i)), watch.ends[i]);
  return counts;
}

void add_stored(const files::Shelf& shelf, const batch::Gauges& batches,
                telemetry::LiveState& state) {
  telemetry::StoredState stored;
  for (std::size_t i = 0; i < batch::kStates; ++i) {
    stored.batches.emplace_back(batch::name_of(static_cast<batch::State>(i)),
                                batches.batches[i].load(std::memory_order_relaxed));
  }
  stored.lines_waiting = batches.lines_waiting.load(std::memory_order_relaxed);
  stored.lines_completed = batches.lines_completed.load(std::memory_order_relaxed);
  stored.lines_failed = batches.lines_failed.load(std::memory_order_relaxed);
  stored.lines_handed_over = batches.lines_handed_over.load(std::memory_order_relaxed);
  stored.handovers = batches.handovers.load(std::memory_order_relaxed);
  stored.lines_handed_back = batches.lines_handed_back.load(std::memory_order_relaxed);
  stored.file_bytes = shelf.bytes();
  state.stored = std::move(stored);
}

telemetry::ListenerState listener_state(std::string_view name, const http::Counters& counters) {
  telemetry::ListenerState state;
  state.name = name;
  state.open_connections = counters.open_connections.load(std::memory_order_relaxed);
  state.accepted = counters.accepted.load(std::memory_order_relaxed);
  state.accept_errors = counters.accept_errors.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < counters.parse_rejects.size(); ++i) {
    const auto count = counters.parse_rejects[i].load(std::memory_order_relaxed);
    state.parse_rejects.emplace_back(http::name_of(static_cast<http::Reject>(i)), count);
  }
  return state;
}

}  // namespace spillway
