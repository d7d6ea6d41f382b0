#include "gateway/telemetry/live.h"

namespace spillway::telemetry {
namespace {

using Samples = std::vector<LiveSample>;

template <std::size_t N>
Distribution distribution_of(const StepHistogram<N>& histogram) {
  return {.bounds = {histogram.bounds.begin(), histogram.bounds.end()},
          .cumulative = {histogram.buckets.begin(), histogram.buckets.end()},
          .sum = histogram.sum};
}

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
      {Series::engine_preemptions, name, static_cast<double>(counters.preemptions), {}});

  const auto tokens = [&](const char* kind, std::uint64_t count) {
    samples.push_back(
        {Series::engine_tokens, {engine.target, kind}, static_cast<double>(count), {}});
  };
  tokens("prefill", counters.prompt_tokens);
  tokens("decode", counters.generated_tokens);

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

}  // namespace

std::vector<LiveSample> samples_of(const LiveState& state) {
  Samples samples;
  samples.push_back({Series::admitted, {}, static_cast<double>(state.admitted), {}});
  samples.push_back({Series::held, {}, static_cast<double>(state.held), {}});
  samples.push_back({Series::held_pressure, {}, state.held_pressure, {}});
  samples.push_back({Series::log_dropped, {}, static_cast<double>(state.log_dropped), {}});
  for (const TargetState& target : state.targets) add_target(samples, target);
  for (const EngineState& engine : state.engines) add_engine(samples, engine);
  for (const ListenerState& listener : state.listeners) add_listener(samples, listener);
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
  }
  return samples;
}

}  // namespace spillway::telemetry
