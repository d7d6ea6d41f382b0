// The gateway's state at this moment, gathered from the rooms that know it, for metrics and
// readiness.
#pragma once

#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "gateway/account/account.h"
#include "gateway/account/limiter.h"
#include "gateway/api/repeats.h"
#include "gateway/batch/batch_store.h"
#include "gateway/files/shelf.h"
#include "gateway/fleet/fleet.h"
#include "gateway/http/counters.h"
#include "gateway/reload/rollout_state.h"
#include "gateway/telemetry/live.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway {

telemetry::TargetState target_state(const ProviderGauges& provider);
void add_servers(const ProviderGauges& provider, telemetry::LiveState& state);
telemetry::TargetState target_state(std::string_view local_name, const EngineStatus& engine);
// How many of the engine's replicas are down, in words; empty: none is.
std::string lost_replicas(const EngineStatus& engine);

telemetry::LedgerState ledger_state(std::string_view store,
                                    const account::LedgerCounters& counters);

// Of the tenants that have budgets.
std::vector<telemetry::BudgetState> budget_states(const config::Settings& settings,
                                                  const std::vector<account::PurseGauge>& purses);
std::vector<telemetry::LimitState> limit_states(const account::Limiter& limiter);
telemetry::RepeatState repeat_state(const Repeats::Counts& counts);
telemetry::ShadowCounts shadow_counts(const ShadowState& shadow);
telemetry::CanaryCounts canary_counts(const CanaryState& canary);
std::vector<std::pair<std::string, std::uint64_t>> watch_counts(const WatchState& watch);
// What clients have stored.
void add_stored(const files::Shelf& shelf, const batch::Gauges& batches,
                telemetry::LiveState& state);

telemetry::ListenerState listener_state(std::string_view name, const http::Counters& counters);

}  // namespace spillway
