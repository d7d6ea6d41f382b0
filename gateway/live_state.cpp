#include "gateway/live_state.h"

#include "gateway/policy/plan.h"

#include <string>

namespace spillway {
namespace {

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

telemetry::TargetState target_state(std::string_view local_name, const EngineStatus& engine) {
  telemetry::TargetState state;
  state.name = local_name;
  state.in_flight = static_cast<int>(engine.running.size());
  state.queued = static_cast<int>(engine.waiting.size());
  state.up = engine.ready;
  return state;
}

telemetry::ClosedSets label_sets(const config::Settings& settings) {
  telemetry::ClosedSets sets = telemetry::closed_sets(settings);
  for (int i = 0; i <= static_cast<int>(policy::Reason::rule); ++i) {
    const std::string_view reason = policy::name_of(static_cast<policy::Reason>(i));
    sets.reasons.emplace_back(reason);
    if (reason.starts_with("spill_")) sets.spill_reasons.emplace_back(reason);
  }
  return sets;
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
