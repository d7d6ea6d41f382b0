// Every series that Spillway exports, one row each: the only place where a metric's name is
// written.
//
// Constant data, readable from any thread. Rows with source `receipts` are counted when a request
// is over; `live` rows are asked for at scrape time; `alias` rows repeat live ones under vLLM's
// names, on a page of their own (the colon in those names is what `promtool check metrics` objects
// to).//
// Labels have the short names of the metrics' catalogue that dashboards and alerts are written in:
// `cls` is the request class, `m` the model asked for, `be` the target (backend).
#pragma once

#include "gateway/telemetry/words.h"

#include <span>
#include <string_view>

namespace spillway::telemetry {

enum class Kind : std::uint8_t { counter, gauge, histogram };
enum class Source : std::uint8_t { receipts, live, alias };

// In the order of the catalogue's rows.
enum class Series : std::uint8_t {
  request_duration,
  time_to_first_token,
  time_per_output_token,
  token_usage,
  requests,
  gateway_overhead,
  queue_wait,
  shed,
  route_decisions,
  spill,
  rule_decisions,
  fallbacks,
  retries,
  retries_used_up,
  hedges,
  hedge_cost,
  slo_attained,
  slo_missed,
  prediction_error,
  prediction_error_ratio,
  cost,
  cost_avoided,
  dearer_tier,
  charged_otherwise,
  left_out,
  client_gone,
  unkept,
  folded,
  in_flight,
  queue_depth,
  admitted,
  held,
  held_pressure,
  ttft_headroom,
  promise_price,
  backend_up,
  circuit_state,
  backend_ejections,
  server_in_flight,
  server_up,
  server_ttft,
  server_requests,
  engine_running,
  engine_waiting,
  engine_kv_used,
  engine_batch_size,
  engine_step,
  engine_tokens,
  engine_drafts,
  engine_prefix_queries,
  engine_prefix_hits,
  engine_preemptions,
  engine_sequences,
  engine_cancel_steps,
  engine_step_model,
  engine_restarts,
  engine_replicas,
  batches,
  batch_lines_waiting,
  batch_lines,
  batch_lines_handed_over,
  batch_handovers,
  batch_lines_handed_back,
  file_bytes,
  open_connections,
  connections,
  parse_rejects,
  accept_errors,
  log_dropped,
  ledger_append,
  ledger_entries,
  ledger_lag,
  ledger_errors,
  ledger_in_doubt,
  budget_limit,
  budget_spent,
  budget_held,
  budget_overshoot,
  ratelimit_checks,
  idempotency,
  shadow_decisions,
  shadow_moves,
  shadow_cost,
  canary_share,
  canary_requests,
  canary_ends,
  policy_watches,
  config_reloads,
  config_version,
  config_last_success,
  build_info,
  process_cpu,
  process_resident,
  process_virtual,
  process_open_fds,
  process_max_fds,
  process_threads,
  process_start,
  vllm_running,
  vllm_waiting,
  vllm_kv_usage,
  vllm_prefix_queries,
  vllm_prefix_hits,
};
constexpr std::size_t kSeriesCount = static_cast<std::size_t>(Series::vllm_prefix_hits) + 1;
constexpr std::size_t kLabelsMax = 6;

struct Label {
  std::string_view name;
  Words words = Words::given;
};

struct SeriesRow {
  Series id;
  std::string_view name;
  Kind kind;
  Source source;
  std::span<const Label> labels;  // At most kLabelsMax.
  std::string_view help;
  std::span<const double>
      buckets{};  // Upper bounds of a counted histogram; the engine brings its own.
};

// All rows; row i has id i.
std::span<const SeriesRow> catalogue();

inline const SeriesRow& row(Series series) { return catalogue()[static_cast<std::size_t>(series)]; }

// "counter", "gauge", "histogram"
std::string_view name_of(Kind kind);

}  // namespace spillway::telemetry
