#include "gateway/telemetry/catalogue.h"

namespace spillway::telemetry {
namespace {

// Names, labels and buckets of the gen_ai_* series are those of Envoy AI Gateway, so that its
// dashboard works on ours.
constexpr double kDurationBuckets[] = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                       1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
constexpr double kFirstTokenBuckets[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08,
                                         0.1,   0.25,  0.5,  0.75, 1.0,  2.5,  5.0,
                                         7.5,   10.0,  15.0, 20.0, 30.0, 45.0, 60.0};
constexpr double kPerTokenBuckets[] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                       0.3,  0.4,   0.5,  0.75,  1.0, 2.5};
constexpr double kTokenBuckets[] = {1,     4,     16,     64,      256,     1024,     4096,
                                    16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
constexpr double kOverheadBuckets[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                       0.01,    0.025,  0.05,    0.1,    0.25,  0.5,    1.0};
constexpr double kWaitBuckets[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                   0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};
constexpr double kErrorRatioBuckets[] = {0.01, 0.02, 0.05, 0.1,  0.15, 0.2, 0.25,
                                         0.3,  0.4,  0.5,  0.75, 1.0,  2.0, 5.0};

constexpr Label kDurationLabels[] = {
    {"gen_ai_operation_name", Words::operation}, {"gen_ai_provider_name", Words::target},
    {"gen_ai_original_model", Words::model},     {"gen_ai_request_model", Words::model},
    {"gen_ai_response_model", Words::model},     {"error_type", Words::error}};
constexpr std::span<const Label> kAnswerLabels(kDurationLabels, 5);
constexpr Label kTokenLabels[] = {kDurationLabels[0], kDurationLabels[1],
                                  kDurationLabels[2], kDurationLabels[3],
                                  kDurationLabels[4], {"gen_ai_token_type", Words::token}};
constexpr Label kRequestLabels[] = {{"cls", Words::request_class}, {"m", Words::model},
                                    {"be", Words::target},         {"code", Words::code},
                                    {"stream", Words::stream},     {"error_type", Words::error}};
constexpr Label kPhaseLabels[] = {{"cls", Words::request_class}, {"phase", Words::phase}};
constexpr Label kWaitLabels[] = {{"cls", Words::request_class}, {"be", Words::target}};
constexpr Label kDecisionLabels[] = {
    {"cls", Words::request_class}, {"be", Words::target}, {"reason", Words::reason}};
constexpr Label kReasonLabels[] = {{"reason", Words::reason}};
constexpr Label kRuleLabels[] = {{"rule", Words::rule}};
constexpr Label kShedLabels[] = {{"reason", Words::shed}};
constexpr Label kFallbackLabels[] = {
    {"from", Words::target}, {"to", Words::target}, {"reason", Words::error}};
constexpr Label kRetryLabels[] = {{"be", Words::target}, {"reason", Words::error}};
constexpr Label kPromiseLabels[] = {{"cls", Words::request_class}, {"objective", Words::objective}};
constexpr Label kPredictionLabels[] = {{"be", Words::target}, {"side", Words::side}};
constexpr Label kCountedTargetLabels[] = {{"be", Words::target}};
constexpr Label kCostLabels[] = {{"tenant", Words::tenant},
                                 {"m", Words::model},
                                 {"be", Words::target},
                                 {"locality", Words::locality}};
constexpr Label kSavingLabels[] = {{"cls", Words::request_class}, {"reason", Words::saving}};
constexpr Label kHedgeLabels[] = {{"cls", Words::request_class}, {"outcome", Words::hedged}};
constexpr Label kLiveClassLabels[] = {{"cls", Words::given}};
constexpr Label kClassLabels[] = {{"cls", Words::request_class}};
constexpr Label kStageLabels[] = {{"stage", Words::stage}};
constexpr Label kFoldedLabels[] = {{"label", Words::folded}};

constexpr Label kTargetLabels[] = {{"be"}};
constexpr Label kServerLabels[] = {{"be"}, {"server"}};
constexpr Label kChosenLabels[] = {{"be"}, {"server"}, {"chosen"}};
constexpr Label kTokenKindLabels[] = {{"be"}, {"kind"}};
constexpr Label kOutcomeLabels[] = {{"be"}, {"outcome"}};
constexpr Label kTermLabels[] = {{"be"}, {"term"}};
constexpr Label kReplicaLabels[] = {{"be"}, {"state"}};
constexpr Label kStateLabels[] = {{"state"}};
constexpr Label kLineLabels[] = {{"outcome"}};
constexpr Label kListenerLabels[] = {{"listener"}};
constexpr Label kRejectLabels[] = {{"listener"}, {"reason"}};
constexpr Label kResultLabels[] = {{"result"}};
constexpr Label kStoreLabels[] = {{"store"}};
constexpr Label kTenantLabels[] = {{"tenant"}};
constexpr Label kWindowLabels[] = {{"tenant"}, {"window"}};
constexpr Label kCheckLabels[] = {{"kind"}, {"result"}};
constexpr Label kMoveLabels[] = {{"cls"}, {"from"}, {"to"}};
constexpr Label kSideLabels[] = {{"side"}, {"outcome"}};
constexpr Label kPolicyLabels[] = {{"policy"}};
constexpr Label kShaLabels[] = {{"sha"}};
constexpr Label kBuildLabels[] = {{"version"}, {"compiler"}};
constexpr Label kServedModelLabels[] = {{"model_name"}};
constexpr std::span<const Label> kNone;

constexpr auto C = Kind::counter;
constexpr auto G = Kind::gauge;
constexpr auto H = Kind::histogram;
constexpr auto kCounted = Source::receipts;
constexpr auto kLive = Source::live;
constexpr auto kAlias = Source::alias;

constexpr SeriesRow kCatalogue[] = {
    {Series::request_duration, "gen_ai_server_request_duration_seconds", H, kCounted,
     kDurationLabels, "Whole request, from its last byte in to its last byte out.",
     kDurationBuckets},
    {Series::time_to_first_token, "gen_ai_server_time_to_first_token_seconds", H, kCounted,
     kAnswerLabels, "From the request to the first token of a streamed answer.",
     kFirstTokenBuckets},
    {Series::time_per_output_token, "gen_ai_server_time_per_output_token_seconds", H, kCounted,
     kAnswerLabels, "Mean time of each token after the first of a streamed, whole answer.",
     kPerTokenBuckets},
    {Series::token_usage, "gen_ai_client_token_usage", H, kCounted, kTokenLabels,
     "Tokens of a request by type.", kTokenBuckets},

    {Series::requests, "spillway_requests_total", C, kCounted, kRequestLabels,
     "Finished requests by what the client got; 499 counts as 4xx, no target means none was "
     "reached."},
    {Series::gateway_overhead, "spillway_gateway_overhead_seconds", H, kCounted, kPhaseLabels,
     "Our own time: decide is parse to plan, dispatch is plan to hand-over where the first target "
     "took it.",
     kOverheadBuckets},
    {Series::queue_wait, "spillway_queue_wait_seconds", H, kCounted, kWaitLabels,
     "From the plan to the hand-over to the target that served, failed attempts included.",
     kWaitBuckets},
    {Series::shed, "spillway_shed_total", C, kCounted, kShedLabels, "Requests refused on purpose."},
    {Series::route_decisions, "spillway_route_decisions_total", C, kCounted, kDecisionLabels,
     "Where the policy sent requests first, and why."},
    {Series::spill, "spillway_spill_total", C, kCounted, kReasonLabels,
     "Requests that wanted to stay local and went to a provider."},
    {Series::rule_decisions, "spillway_rule_decisions_total", C, kCounted, kRuleLabels,
     "Requests that a rule of the policy decided about, refused ones included; 0: it never has."},
    {Series::fallbacks, "spillway_fallbacks_total", C, kCounted, kFallbackLabels,
     "Targets that failed before their first token and were replaced."},
    {Series::retries, "spillway_retries_total", C, kCounted, kRetryLabels,
     "Targets that failed before their first token and were asked again."},
    {Series::retries_used_up, "spillway_retry_budget_exhausted_total", C, kCounted, kNone,
     "Requests whose target failed, and for which no other provider was asked as the retry budget "
     "was used up."},
    {Series::hedges, "spillway_hedges_total", C, kCounted, kHedgeLabels,
     "Requests for which a second target was asked while the first was silent: it answered (won), "
     "the first did all the same (lost), or neither (failed)."},
    {Series::hedge_cost, "spillway_hedge_cost_usd_total", C, kCounted, kClassLabels,
     "What was paid for answers that nobody got, since another target was quicker."},
    {Series::slo_attained, "spillway_slo_attained_total", C, kCounted, kPromiseLabels,
     "Requests that met their class's objective."},
    {Series::slo_missed, "spillway_slo_missed_total", C, kCounted, kPromiseLabels,
     "Requests that missed their class's objective, failures of ours included."},
    {Series::prediction_error, "spillway_ttft_prediction_error_seconds", H, kCounted,
     kPredictionLabels,
     "Distance of the actual time to first token from the predicted one, by which side of it the "
     "token came.",
     kWaitBuckets},
    {Series::prediction_error_ratio, "spillway_ttft_prediction_error_ratio", H, kCounted,
     kCountedTargetLabels, "The same distance as a share of the actual time.", kErrorRatioBuckets},
    {Series::cost, "spillway_cost_usd_total", C, kCounted, kCostLabels, "Money spent on answers."},
    {Series::cost_avoided, "spillway_cost_avoided_usd_total", C, kCounted, kSavingLabels,
     "What the cheapest provider would have asked for requests that were served without one."},
    {Series::dearer_tier, "spillway_dearer_tier_total", C, kCounted, kCountedTargetLabels,
     "Answers whose provider named a tier that costs more than its price says: booked by that "
     "price, as estimated."},
    {Series::charged_otherwise, "spillway_charged_otherwise_total", C, kCounted,
     kCountedTargetLabels,
     "Answers whose provider said that they cost something else than their price here, by more "
     "than a hundredth: booked by that price, as estimated."},
    {Series::left_out, "spillway_left_out_fields_total", C, kCounted, kCountedTargetLabels,
     "Fields of requests that the target was not told: x-spillway-left-out names them to the "
     "client."},
    {Series::client_gone, "spillway_stream_client_gone_total", C, kCounted, kStageLabels,
     "Clients that hung up before their answer was whole."},
    {Series::unkept, "spillway_unkept_answers_total", C, kCounted, kClassLabels,
     "Answers that were given and were to be found again, but could not be stored."},
    {Series::folded, "spillway_metrics_folded_total", C, kCounted, kFoldedLabels,
     "Label values outside their closed set, and samples past the series limit, counted as "
     "_other."},

    {Series::in_flight, "spillway_inflight_requests", G, kLive, kTargetLabels,
     "Requests at a target now."},
    {Series::queue_depth, "spillway_queue_depth", G, kLive, kTargetLabels,
     "Requests that wait for a target now."},
    {Series::admitted, "spillway_admitted_requests", G, kLive, kNone,
     "Requests inside the gateway now."},
    {Series::held, "spillway_held_requests", G, kLive, kNone,
     "Requests that may wait and are held at the gateway now."},
    {Series::held_pressure, "spillway_held_pressure_ratio", G, kLive, kNone,
     "Engine time that the held requests need before their deadlines, by what will be free for "
     "them; above 1 some must leave."},
    {Series::ttft_headroom, "spillway_ttft_headroom_ratio", G, kLive, kLiveClassLabels,
     "Share of the promised time to first token that the local target's prediction may use up: a "
     "class's ttft_headroom, or what feedback has made of it."},
    {Series::promise_price, "spillway_promise_price_ratio", G, kLive, kLiveClassLabels,
     "Share of promise_price_max that may be paid for a promise now; below 1 feedback finds that "
     "too much is spent."},
    {Series::backend_up, "spillway_backend_up", G, kLive, kTargetLabels,
     "1 if a target takes requests: engine ready, or breaker not open."},
    {Series::circuit_state, "spillway_circuit_state", G, kLive, kTargetLabels,
     "Breaker of a target: 0 closed, 1 half open, 2 open."},
    {Series::backend_ejections, "spillway_backend_ejections_total", C, kLive, kTargetLabels,
     "Times that a target's breaker opened."},
    {Series::server_in_flight, "spillway_server_inflight_requests", G, kLive, kServerLabels,
     "Requests at one of a target's servers now."},
    {Series::server_up, "spillway_server_up", G, kLive, kServerLabels,
     "1 if the server takes requests: its breaker is not open."},
    {Series::server_ttft, "spillway_server_ttft_seconds", G, kLive, kServerLabels,
     "Half of the server's first tokens came within this time, of late."},
    {Series::server_requests, "spillway_server_requests_total", C, kLive, kChosenLabels,
     "Requests sent to the server, by why it: it has had the prompt's beginning before (affine), "
     "another has that was too busy or down (overflow), or nobody has (least_busy)."},

    {Series::engine_running, "spillway_engine_running_sequences", G, kLive, kTargetLabels,
     "Sequences in the batch now."},
    {Series::engine_waiting, "spillway_engine_waiting_sequences", G, kLive, kTargetLabels,
     "Sequences that wait for the batch now."},
    {Series::engine_kv_used, "spillway_engine_kv_blocks_used_ratio", G, kLive, kTargetLabels,
     "Share of the KV cache in use."},
    {Series::engine_batch_size, "spillway_engine_batch_size", H, kLive, kTargetLabels,
     "Sequences of a step."},
    {Series::engine_step, "spillway_engine_step_seconds", H, kLive, kTargetLabels,
     "Duration of a step."},
    {Series::engine_tokens, "spillway_engine_tokens_total", C, kLive, kTokenKindLabels,
     "Tokens that went through the model, prefill or decode."},
    {Series::engine_drafts, "spillway_engine_drafts_total", C, kLive, kOutcomeLabels,
     "Tokens that were guessed and checked (speculation): right or wrong."},
    {Series::engine_prefix_queries, "spillway_engine_prefix_queries_total", C, kLive, kTargetLabels,
     "Prompt tokens looked up in the prefix cache."},
    {Series::engine_prefix_hits, "spillway_engine_prefix_hits_total", C, kLive, kTargetLabels,
     "Prompt tokens that had not to be read, as the same tenant's were before."},
    {Series::engine_preemptions, "spillway_engine_preemptions_total", C, kLive, kTargetLabels,
     "Sequences that lost their KV blocks to others and start again."},
    {Series::engine_sequences, "spillway_engine_sequences_total", C, kLive, kOutcomeLabels,
     "Sequences by how they ended: finished, cancelled by their client, failed, refused as too "
     "many."},
    {Series::engine_cancel_steps, "spillway_engine_cancel_steps_max", G, kLive, kTargetLabels,
     "Most steps that still held a sequence after its client had left."},
    {Series::engine_step_model, "spillway_engine_step_model_seconds", G, kLive, kTermLabels,
     "Learned step time: a fixed base, and what each sequence, context token and prefill token "
     "adds."},
    {Series::engine_restarts, "spillway_engine_restarts_total", C, kLive, kTargetLabels,
     "Times that the engine's own process was started again after it had died."},
    {Series::engine_replicas, "spillway_engine_replicas", G, kLive, kReplicaLabels,
     "Engines behind the target's queue that are serving, and that are not."},

    {Series::batches, "spillway_batches", G, kLive, kStateLabels, "Batches by their state."},
    {Series::batch_lines_waiting, "spillway_batch_lines_waiting", G, kLive, kNone,
     "Lines of batches that have no result yet."},
    {Series::batch_lines, "spillway_batch_lines_total", C, kLive, kLineLabels,
     "Lines of batches that have one, by how they ended: completed or failed."},
    {Series::batch_lines_handed_over, "spillway_batch_lines_handed_over", G, kLive, kNone,
     "Lines that are at providers, in batches of theirs."},
    {Series::batch_handovers, "spillway_batch_handovers_total", C, kLive, kNone,
     "Batches that were made at providers."},
    {Series::batch_lines_handed_back, "spillway_batch_lines_handed_back_total", C, kLive, kNone,
     "Lines that came back from there without an answer, and are asked one by one."},
    {Series::file_bytes, "spillway_file_bytes", G, kLive, kNone,
     "Files, and parts of uploads, of all tenants."},

    {Series::open_connections, "spillway_open_connections", G, kLive, kListenerLabels,
     "Open connections."},
    {Series::connections, "spillway_connections_total", C, kLive, kListenerLabels,
     "Connections accepted."},
    {Series::parse_rejects, "spillway_http_parse_rejects_total", C, kLive, kRejectLabels,
     "Requests refused by the HTTP parser or its limits."},
    {Series::accept_errors, "spillway_accept_errors_total", C, kLive, kListenerLabels,
     "Connections that could not be accepted."},
    {Series::log_dropped, "spillway_log_dropped_total", C, kLive, kNone,
     "Log lines dropped because the log's reader was too slow."},

    {Series::ledger_append, "spillway_ledger_append_seconds", H, kLive, kStoreLabels,
     "Time of a group commit of the ledger."},
    {Series::ledger_entries, "spillway_ledger_entries_total", C, kLive, kStoreLabels,
     "Entries booked."},
    {Series::ledger_lag, "spillway_ledger_lag_entries", G, kLive, kStoreLabels,
     "Requests that are settled and not booked on the disk yet."},
    {Series::ledger_errors, "spillway_ledger_errors_total", C, kLive, kStoreLabels,
     "Group commits that failed and are tried again; while they do, nothing that costs money is "
     "begun."},
    {Series::ledger_in_doubt, "spillway_ledger_in_doubt_requests", G, kLive, kStoreLabels,
     "Requests that were running when the process before this one died: nobody knows their cost."},
    {Series::budget_limit, "spillway_budget_limit_usd", G, kLive, kWindowLabels,
     "Budget of a tenant for the day or the month."},
    {Series::budget_spent, "spillway_budget_spent_usd", G, kLive, kWindowLabels,
     "Spent of it since the day or the month began, UTC."},
    {Series::budget_held, "spillway_budget_held_usd", G, kLive, kTenantLabels,
     "What the tenant's running requests may still cost."},
    {Series::budget_overshoot, "spillway_budget_overshoot_usd_total", C, kLive, kTenantLabels,
     "Spent past a budget's end."},
    {Series::ratelimit_checks, "spillway_ratelimit_checks_total", C, kLive, kCheckLabels,
     "Requests that were held against the limits of key, tenant and model."},
    {Series::idempotency, "spillway_idempotency_requests_total", C, kLive, kResultLabels,
     "Requests that brought an idempotency key: the first under it, those that got the first's "
     "answer again, and those refused, which came too soon or were another request. Without a key: "
     "the further tries that were redelivered an answer which had not arrived."},

    {Series::shadow_decisions, "spillway_shadow_decisions_total", C, kLive, kLineLabels,
     "Requests about which a shadow policy decided as well: it agreed with the one in force on who "
     "is asked first, it differed, or they were skipped since it was behind."},
    {Series::shadow_moves, "spillway_shadow_moves_total", C, kLive, kMoveLabels,
     "Those about which it differed, by who is asked first and who would be; held and refused are "
     "such, too."},
    {Series::shadow_cost, "spillway_shadow_cost_usd_total", C, kLive, kPolicyLabels,
     "What requests that both policies send somewhere were expected to cost, by the one in force "
     "and by the shadow."},
    {Series::canary_share, "spillway_canary_share", G, kLive, kNone,
     "Share of the keys that a policy is tried on now; 0: none is."},
    {Series::canary_requests, "spillway_canary_requests_total", C, kLive, kSideLabels,
     "Requests that ended while a policy was tried, under it (canary) or under the one in force "
     "(stable), by their class's promises: attained, missed, failed, or unpromised."},
    {Series::canary_ends, "spillway_canary_ends_total", C, kLive, kLineLabels,
     "Policies that were tried: for everybody since (promoted), for nobody any more (rolled_back), "
     "or withdrawn since another file came."},
    {Series::policy_watches, "spillway_policy_watches_total", C, kLive, kLineLabels,
     "Policies that all keys had and that were watched: well to the end of their time (kept), "
     "taken "
     "back since promises burnt (rolled_back), or withdrawn since another file came."},

    {Series::config_reloads, "spillway_config_reloads_total", C, kLive, kResultLabels,
     "Configurations read since the start, the first one included: taken over (ok), refused for "
     "what is wrong with them, or guarded against for what the last decisions come to under "
     "them."},
    {Series::config_version, "spillway_config_version_info", G, kLive, kShaLabels,
     "The configuration in force."},
    {Series::config_last_success, "spillway_config_last_success_timestamp_seconds", G, kLive, kNone,
     "When the configuration in force was taken over."},
    {Series::build_info, "spillway_build_info", G, kLive, kBuildLabels, "The program."},

    {Series::process_cpu, "process_cpu_seconds_total", C, kLive, kNone,
     "User and system CPU time."},
    {Series::process_resident, "process_resident_memory_bytes", G, kLive, kNone,
     "Resident memory."},
    {Series::process_virtual, "process_virtual_memory_bytes", G, kLive, kNone, "Virtual memory."},
    {Series::process_open_fds, "process_open_fds", G, kLive, kNone, "Open file descriptors."},
    {Series::process_max_fds, "process_max_fds", G, kLive, kNone,
     "Most file descriptors that may be open."},
    {Series::process_threads, "process_threads", G, kLive, kNone, "Threads."},
    {Series::process_start, "process_start_time_seconds", G, kLive, kNone,
     "Start of the process since the epoch."},

    {Series::vllm_running, "vllm:num_requests_running", G, kAlias, kServedModelLabels,
     "Sequences in the batch."},
    {Series::vllm_waiting, "vllm:num_requests_waiting", G, kAlias, kServedModelLabels,
     "Sequences that wait."},
    {Series::vllm_kv_usage, "vllm:kv_cache_usage_perc", G, kAlias, kServedModelLabels,
     "Share of the KV cache in use, 0 to 1."},
    {Series::vllm_prefix_queries, "vllm:prefix_cache_queries_total", C, kAlias, kServedModelLabels,
     "Prompt tokens looked up in the prefix cache."},
    {Series::vllm_prefix_hits, "vllm:prefix_cache_hits_total", C, kAlias, kServedModelLabels,
     "Prompt tokens found there."},
};
static_assert(std::size(kCatalogue) == kSeriesCount);

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kSeriesCount; ++i) {
    if (static_cast<std::size_t>(kCatalogue[i].id) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

}  // namespace

std::span<const SeriesRow> catalogue() { return kCatalogue; }

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::counter: return "counter";
    case Kind::gauge: return "gauge";
    case Kind::histogram: return "histogram";
  }
  return "untyped";
}

}  // namespace spillway::telemetry
