#include "gateway/telemetry/live.h"

namespace spillway::telemetry {
namespace {

using Samples = std::vector<LiveSample>;

double kv_used(const EngineStatus& status) {
  if (status.kv_tokens_total <= 0) return 0.0;
  return 1.0 - static_cast<double>(status.kv_tokens_free) / status.kv_tokens_total;
}

void add_target(Samples& samples, const TargetState& target) {
  const std::vector<std::string> name{target.name};
  samples.push_back({Series::in_flight, name, static_cast<double>(target.in_flight), {}});
  samples.push_back({Series::queue_depth, name, static_cast<double>(target.queued), {}});
  samples.push_back({Series::backend_up, name, target.up ? 1.0 : 0.0, {}});
  if (!target.circuit) return;
  samples.push_back({Series::circuit_state, name, static_cast<double>(*target.circuit), {}});
  samples.push_back(
      {Series::backend_ejections, name, static_cast<double>(target.times_opened), {}});
}

void add_server(Samples& samples, const ServerState& server) {
  const std::vector<std::string> name{server.target, server.server};
  samples.push_back({Series::server_in_flight, name, static_cast<double>(server.in_flight), {}});
  samples.push_back({Series::server_up, name, server.up ? 1.0 : 0.0, {}});
  samples.push_back({Series::server_ttft, name, server.ttft_p50, {}});
  for (const auto& [why, count] : server.chosen) {
    samples.push_back({Series::server_requests,
                       {server.target, server.server, why},
                       static_cast<double>(count),
                       {}});
  }
}

void add_engine(Samples& samples, const EngineState& engine) {
  const std::vector<std::string> name{engine.target};
  const EngineStatus& status = engine.status;
  const EngineCounters& counters = engine.counters;
  samples.push_back({Series::engine_running, name, static_cast<double>(status.running.size()), {}});
  samples.push_back({Series::engine_waiting, name, static_cast<double>(status.waiting.size()), {}});
  samples.push_back({Series::engine_kv_used, name, kv_used(status), {}});
  samples.push_back({Series::engine_batch_size, name, 0.0, distribution_of(counters.batch_size)});
  samples.push_back({Series::engine_step, name, 0.0, distribution_of(counters.step_seconds)});
  samples.push_back(
      {Series::engine_prefix_queries, name, static_cast<double>(counters.prefix_queries), {}});
  samples.push_back(
      {Series::engine_prefix_hits, name, static_cast<double>(counters.prefix_hits), {}});
  samples.push_back(
      {Series::engine_preemptions, name, static_cast<double>(counters.preemptions), {}});
  samples.push_back({Series::engine_restarts, name, static_cast<double>(engine.restarts), {}});

  const int replicas = std::max(1, static_cast<int>(status.replicas.size()));
  const int serving = status.ready ? status.engines() : 0;
  samples.push_back({Series::engine_replicas, {engine.target, "serving"}, 1.0 * serving, {}});
  samples.push_back(
      {Series::engine_replicas, {engine.target, "down"}, 1.0 * (replicas - serving), {}});

  const auto tokens = [&](const char* kind, std::uint64_t count) {
    samples.push_back(
        {Series::engine_tokens, {engine.target, kind}, static_cast<double>(count), {}});
  };
  tokens("prefill", counters.prompt_tokens);
  tokens("decode", counters.generated_tokens);

  const auto guessed = [&](const char* outcome, std::uint64_t count) {
    samples.push_back(
        {Series::engine_drafts, {engine.target, outcome}, static_cast<double>(count), {}});
  };
  guessed("right", counters.drafts_right);
  guessed("wrong", counters.drafts - counters.drafts_right);

  const auto ended = [&](const char* how, std::uint64_t count) {
    samples.push_back(
        {Series::engine_sequences, {engine.target, how}, static_cast<double>(count), {}});
  };
  ended("finished", counters.finished);
  ended("cancelled", counters.cancelled);
  ended("failed", counters.failed);
  ended("refused", counters.refused);
  samples.push_back(
      {Series::engine_cancel_steps, name, static_cast<double>(counters.cancel_steps_max), {}});

  const auto term = [&](const char* which, double seconds) {
    samples.push_back({Series::engine_step_model, {engine.target, which}, seconds, {}});
  };
  term("base", status.step.base);
  term("per_sequence", status.step.per_sequence);
  term("per_context_token", status.step.per_context_token);
  term("per_prefill_token", status.step.per_prefill_token);
}

void add_listener(Samples& samples, const ListenerState& listener) {
  const std::vector<std::string> name{listener.name};
  samples.push_back(
      {Series::open_connections, name, static_cast<double>(listener.open_connections), {}});
  samples.push_back({Series::connections, name, static_cast<double>(listener.accepted), {}});
  samples.push_back({Series::accept_errors, name, static_cast<double>(listener.accept_errors), {}});
  for (const auto& [reason, count] : listener.parse_rejects) {
    samples.push_back(
        {Series::parse_rejects, {listener.name, reason}, static_cast<double>(count), {}});
  }
}

void add_ledger(Samples& samples, const LedgerState& ledger) {
  const std::vector<std::string> store{ledger.store};
  const auto add = [&](Series series, double value) {
    samples.push_back({series, store, value, {}});
  };
  samples.push_back({Series::ledger_append, store, 0.0, ledger.append_seconds});
  add(Series::ledger_entries, static_cast<double>(ledger.entries));
  add(Series::ledger_lag, static_cast<double>(ledger.lag));
  add(Series::ledger_errors, static_cast<double>(ledger.errors));
  add(Series::ledger_in_doubt, static_cast<double>(ledger.in_doubt));
}

void add_budget(Samples& samples, const BudgetState& budget) {
  for (const BudgetState::Window& window : budget.windows) {
    const std::vector<std::string> labels{budget.tenant, window.name};
    samples.push_back({Series::budget_limit, labels, window.limit, {}});
    samples.push_back({Series::budget_spent, labels, window.spent, {}});
  }
  samples.push_back({Series::budget_held, {budget.tenant}, budget.held, {}});
  samples.push_back({Series::budget_overshoot, {budget.tenant}, budget.overshoot, {}});
}

void add_limit(Samples& samples, const LimitState& limit) {
  const auto add = [&](const char* result, std::uint64_t count) {
    samples.push_back(
        {Series::ratelimit_checks, {limit.kind, result}, static_cast<double>(count), {}});
  };
  add("allowed", limit.allowed);
  add("refused", limit.refused);
}

void add_repeats(Samples& samples, const RepeatState& repeats) {
  for (const auto& [result, count] : {std::pair("first", repeats.first),
                                      {"replayed", repeats.replayed},
                                      {"refused", repeats.refused},
                                      {"redelivered", repeats.redelivered}})
    samples.push_back({Series::idempotency, {result}, static_cast<double>(count), {}});
}

void add_shadow(Samples& samples, const ShadowCounts& shadow) {
  for (const auto& [outcome, count] : {std::pair("agreed", shadow.agreed),
                                       {"differed", shadow.differed},
                                       {"skipped", shadow.skipped}})
    samples.push_back({Series::shadow_decisions, {outcome}, static_cast<double>(count), {}});
  samples.push_back({Series::shadow_cost, {"in_force"}, shadow.cost_in_force, {}});
  samples.push_back({Series::shadow_cost, {"shadow"}, shadow.cost_of_shadow, {}});
  for (const ShadowCounts::Move& move : shadow.moves)
    samples.push_back({Series::shadow_moves,
                       {move.request_class, move.from, move.to},
                       static_cast<double>(move.requests),
                       {}});
}

void add_canary(Samples& samples, const CanaryCounts& canary) {
  samples.push_back({Series::canary_share, {}, canary.share, {}});
  for (const CanaryCounts::Ended& ended : canary.requests)
    samples.push_back({Series::canary_requests,
                       {ended.side, ended.outcome},
                       static_cast<double>(ended.requests),
                       {}});
  for (const auto& [outcome, count] : canary.ends)
    samples.push_back({Series::canary_ends, {outcome}, static_cast<double>(count), {}});
}

void add_stored(Samples& samples, const StoredState& stored) {
  for (const auto& [state, count] : stored.batches)
    samples.push_back({Series::batches, {state}, static_cast<double>(count), {}});
  samples.push_back(
      {Series::batch_lines_waiting, {}, static_cast<double>(stored.lines_waiting), {}});
  samples.push_back(
      {Series::batch_lines, {"completed"}, static_cast<double>(stored.lines_completed), {}});
  samples.push_back(
      {Series::batch_lines, {"failed"}, static_cast<double>(stored.lines_failed), {}});
  samples.push_back(
      {Series::batch_lines_handed_over, {}, static_cast<double>(stored.lines_handed_over), {}});
  samples.push_back({Series::batch_handovers, {}, static_cast<double>(stored.handovers), {}});
  samples.push_back(
      {Series::batch_lines_handed_back, {}, static_cast<double>(stored.lines_handed_back), {}});
  samples.push_back({Series::file_bytes, {}, static_cast<double>(stored.file_bytes), {}});
}

}  // namespace

std::vector<LiveSample> samples_of(const LiveState& state) {
  Samples samples;
  samples.push_back({Series::admitted, {}, static_cast<double>(state.admitted), {}});
  samples.push_back({Series::held, {}, static_cast<double>(state.held), {}});
  samples.push_back({Series::held_pressure, {}, state.held_pressure, {}});
  for (const TermsState& one : state.terms) {
    samples.push_back({Series::ttft_headroom, {one.request_class}, one.ttft_headroom, {}});
    samples.push_back({Series::promise_price, {one.request_class}, one.promise_price, {}});
  }
  samples.push_back({Series::log_dropped, {}, static_cast<double>(state.log_dropped), {}});
  if (state.stored) add_stored(samples, *state.stored);
  for (const TargetState& target : state.targets) add_target(samples, target);
  for (const ServerState& server : state.servers) add_server(samples, server);
  for (const EngineState& engine : state.engines) add_engine(samples, engine);
  for (const ListenerState& listener : state.listeners) add_listener(samples, listener);
  if (state.ledger) add_ledger(samples, *state.ledger);
  for (const BudgetState& budget : state.budgets) add_budget(samples, budget);
  for (const LimitState& limit : state.limits) add_limit(samples, limit);
  if (state.repeats) add_repeats(samples, *state.repeats);
  if (state.shadow) add_shadow(samples, *state.shadow);
  if (state.canary) add_canary(samples, *state.canary);
  for (const auto& [outcome, count] : state.watches)
    samples.push_back({Series::policy_watches, {outcome}, static_cast<double>(count), {}});
  return samples;
}

std::vector<LiveSample> alias_samples_of(const LiveState& state) {
  Samples samples;
  for (const EngineState& engine : state.engines) {
    const std::vector<std::string> model{engine.model};
    const EngineStatus& status = engine.status;
    samples.push_back(
        {Series::vllm_running, model, static_cast<double>(status.running.size()), {}});
    samples.push_back(
        {Series::vllm_waiting, model, static_cast<double>(status.waiting.size()), {}});
    samples.push_back({Series::vllm_kv_usage, model, kv_used(status), {}});
    samples.push_back({Series::vllm_prefix_queries,
                       model,
                       static_cast<double>(engine.counters.prefix_queries),
                       {}});
    samples.push_back(
        {Series::vllm_prefix_hits, model, static_cast<double>(engine.counters.prefix_hits), {}});
  }
  return samples;
}

}  // namespace spillway::telemetry
