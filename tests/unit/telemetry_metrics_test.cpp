// What one finished request moves, and what a scrape tells of the live state.
#include "gateway/telemetry/metrics.h"
#include "tests/unit/telemetry_receipts.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::telemetry {
namespace {

class Counted : public testing::Test {
 protected:
  void count(const Receipt& receipt) { metrics_.count(receipt); }
  std::string value(const std::string& series) { return value_in(metrics_.text(), series); }

  Metrics metrics_{example_sets(), "1.2.3"};
};

constexpr const char* kAnswer =
    "gen_ai_operation_name=\"chat\",gen_ai_original_model=\"auto\",gen_ai_provider_name=\"local\","
    "gen_ai_request_model=\"smollm2\",gen_ai_response_model=\"smollm2\"";

TEST_F(Counted, AServedRequestIsCountedOnceByWhatTheClientGot) {
  count(example_receipt());
  EXPECT_EQ(value("spillway_requests_total{cls=\"interactive\",code=\"2xx\",m=\"auto\","
                  "stream=\"true\",be=\"local\"}"),
            "1");
}

TEST_F(Counted, LatencySeriesHaveEnvoysNamesAndBuckets) {
  count(example_receipt());
  const std::string labels = kAnswer;
  EXPECT_EQ(value("gen_ai_server_request_duration_seconds_sum{" + labels + "}"), "0.303");
  EXPECT_EQ(value("gen_ai_server_request_duration_seconds_bucket{" + labels + ",le=\"0.16\"}"),
            "0");
  EXPECT_EQ(value("gen_ai_server_request_duration_seconds_bucket{" + labels + ",le=\"0.32\"}"),
            "1");
  EXPECT_EQ(value("gen_ai_server_time_to_first_token_seconds_sum{" + labels + "}"), "0.103");
  EXPECT_EQ(value("gen_ai_server_time_to_first_token_seconds_bucket{" + labels + ",le=\"60\"}"),
            "1");
  EXPECT_EQ(value("gen_ai_server_time_per_output_token_seconds_sum{" + labels + "}"), "0.01");
  EXPECT_EQ(value("gen_ai_client_token_usage_sum{" + labels + ",gen_ai_token_type=\"input\"}"),
            "12");
  EXPECT_EQ(value("gen_ai_client_token_usage_sum{" + labels + ",gen_ai_token_type=\"output\"}"),
            "21");
}

TEST_F(Counted, WholeAnswersHaveNoTimeToFirstToken) {
  Receipt receipt = example_receipt();
  receipt.stream = false;
  count(receipt);
  EXPECT_EQ(metrics_.text().find("gen_ai_server_time_to_first_token_seconds"), std::string::npos);
}

TEST_F(Counted, OwnTimeIsSplitIntoDecideAndDispatch) {
  count(example_receipt());
  EXPECT_EQ(value("spillway_gateway_overhead_seconds_sum{cls=\"interactive\",phase=\"decide\"}"),
            "0.002");
  EXPECT_EQ(value("spillway_gateway_overhead_seconds_sum{cls=\"interactive\",phase=\"dispatch\"}"),
            "0.001");
  EXPECT_EQ(value("spillway_queue_wait_seconds_sum{cls=\"interactive\",be=\"local\"}"), "0.001");
}

TEST_F(Counted, AFailedTargetIsAFallbackAndItsTimeIsNotOurs) {
  Receipt receipt = example_receipt();
  receipt.attempts = {{"cloudbrain", Errc::backend_unavailable, "503", 0.05},
                      {"ai-hub", Errc::deadline_exceeded, "silent", 0.05},
                      {"ai-hub", std::nullopt, "", 0.1}};
  receipt.target = "ai-hub";
  receipt.served_locally = false;
  receipt.reason = "spill_ttft";
  count(receipt);
  EXPECT_EQ(value("spillway_fallbacks_total{from=\"cloudbrain\",reason=\"backend_unavailable\",to="
                  "\"ai-hub\"}"),
            "1");
  EXPECT_EQ(value("spillway_retries_total{reason=\"deadline_exceeded\",be=\"ai-hub\"}"), "1");
  EXPECT_EQ(value("spillway_route_decisions_total{cls=\"interactive\",reason=\"spill_ttft\","
                  "be=\"cloudbrain\"}"),
            "1");
  EXPECT_EQ(value("spillway_spill_total{reason=\"spill_ttft\"}"), "1");
  EXPECT_EQ(
      value("spillway_gateway_overhead_seconds_count{cls=\"interactive\",phase=\"dispatch\"}"), "");
  EXPECT_EQ(metrics_.text().find("spillway_ttft_prediction_error_seconds"), std::string::npos);
}

TEST_F(Counted, PromisesKeptAndBroken) {
  count(example_receipt());
  EXPECT_EQ(value("spillway_slo_attained_total{cls=\"interactive\",objective=\"ttft\"}"), "1");
  EXPECT_EQ(value("spillway_slo_attained_total{cls=\"interactive\",objective=\"per_token\"}"), "1");
  Receipt late = example_receipt();
  late.sla_ttft = 0.1;
  late.sla_per_token = 0.009;
  count(late);
  Receipt failed = example_receipt();
  failed.first_token.reset();
  failed.error = Error{Errc::backend_unavailable, "", "", {}};
  failed.http_status = 502;
  count(failed);
  EXPECT_EQ(value("spillway_slo_attained_total{cls=\"interactive\",objective=\"ttft\"}"), "1");
  EXPECT_EQ(value("spillway_slo_missed_total{cls=\"interactive\",objective=\"ttft\"}"), "2");
  EXPECT_EQ(value("spillway_slo_attained_total{cls=\"interactive\",objective=\"per_token\"}"), "1");
  EXPECT_EQ(value("spillway_slo_missed_total{cls=\"interactive\",objective=\"per_token\"}"), "1");
}

TEST_F(Counted, AClientWhoLeftEarlyBreaksNoPromise) {
  Receipt gone = example_receipt();
  gone.first_token.reset();
  gone.error = Error{Errc::cancelled, "", "", {}};
  gone.http_status = 499;
  count(gone);
  EXPECT_EQ(value("spillway_slo_missed_total{cls=\"interactive\",objective=\"ttft\"}"), "0");
  EXPECT_EQ(value("spillway_stream_client_gone_total{stage=\"before_first_token\"}"), "1");
}

TEST_F(Counted, AnUnroutedRefusalHasNoTargetAndIsShed) {
  Receipt refused;
  refused.endpoint = "/v1/chat/completions";
  refused.error = Error{Errc::overloaded, "", "", {}};
  refused.http_status = 503;
  count(refused);
  EXPECT_EQ(
      value("spillway_requests_total{code=\"5xx\",error_type=\"overloaded\",stream=\"false\"}"),
      "1");
  EXPECT_EQ(value("spillway_shed_total{reason=\"overload\"}"), "1");
  EXPECT_EQ(value("spillway_shed_total{reason=\"rate\"}"), "0");
}

TEST_F(Counted, PredictionErrorHasASideAndAShare) {
  count(example_receipt());  // Predicted 125 ms, came 101 ms after the plan.
  EXPECT_EQ(value("spillway_ttft_prediction_error_seconds_bucket{side=\"early\",be=\"local\","
                  "le=\"0.01\"}"),
            "0");
  EXPECT_EQ(value("spillway_ttft_prediction_error_seconds_bucket{side=\"early\",be=\"local\","
                  "le=\"0.025\"}"),
            "1");
  EXPECT_EQ(value("spillway_ttft_prediction_error_ratio_bucket{be=\"local\",le=\"0.2\"}"), "0");
  EXPECT_EQ(value("spillway_ttft_prediction_error_ratio_bucket{be=\"local\",le=\"0.25\"}"), "1");
}

TEST_F(Counted, MoneyIsInDollars) {
  count(example_receipt());
  Receipt paid = example_receipt();
  paid.target = "ai-hub";
  paid.served_locally = false;
  paid.model_served = "brain-large";
  paid.avoided_nano_usd = 0;
  paid.cost_nano_usd = 1'500'000'000;
  paid.parts = {{.target = "ai-hub", .model = "brain-large", .cost_nano_usd = 1'500'000'000}};
  count(paid);
  EXPECT_EQ(value("spillway_cost_usd_total{locality=\"cloud\",m=\"brain-large\",be=\"ai-"
                  "hub\",tenant=\"acme\"}"),
            "1.5");
  EXPECT_EQ(value("spillway_cost_avoided_usd_total{cls=\"interactive\",reason=\"local\"}"), "2");
}

TEST_F(Counted, EachTargetsPartIsItsOwn) {
  Receipt mended = example_receipt();
  mended.target = "ai-hub";
  mended.cost_nano_usd = 2'500'000'000;
  mended.parts = {{.target = "ai-hub",
                   .model = "brain-large",
                   .usage = {.prompt_tokens = 12, .completion_tokens = 5},
                   .cost_nano_usd = 500'000'000},
                  {.target = "cloudbrain",
                   .model = "brain-large",
                   .usage = {.prompt_tokens = 17, .completion_tokens = 16},
                   .cost_nano_usd = 2'000'000'000}};
  count(mended);
  const std::string cost = "spillway_cost_usd_total{locality=\"cloud\",m=\"brain-large\",";
  EXPECT_EQ(value(cost + "be=\"ai-hub\",tenant=\"acme\"}"), "0.5");
  EXPECT_EQ(value(cost + "be=\"cloudbrain\",tenant=\"acme\"}"), "2");
}

TEST_F(Counted, TheConfigurationInForceAndRefusedOnes) {
  metrics_.config_loaded(example_sets(), "0123456789abcdef0123456789abcdef");
  metrics_.config_refused();
  EXPECT_EQ(value("spillway_config_reloads_total{result=\"ok\"}"), "1");
  EXPECT_EQ(value("spillway_config_reloads_total{result=\"refused\"}"), "1");
  EXPECT_EQ(value("spillway_config_reloads_total{result=\"guarded\"}"), "0");
  EXPECT_EQ(value("spillway_config_version_info{sha=\"0123456789ab\"}"), "1");
  EXPECT_NE(value("spillway_config_last_success_timestamp_seconds"), "");
}

LiveState example_state() {
  LiveState state;
  state.admitted = 7;
  state.log_dropped = 3;
  state.targets = {{"local", 2, 5, true, std::nullopt, 0},
                   {"ai-hub", 4, 0, false, Circuit::open, 9}};
  EngineState engine{"local", "smollm2", {}, {}};
  engine.status.running.resize(2);
  engine.status.waiting.resize(5);
  engine.status.kv_tokens_total = 1'000;
  engine.status.kv_tokens_free = 250;
  engine.status.step.base = 0.004;
  engine.counters.generated_tokens = 40;
  engine.counters.step_seconds.observe(0.015);
  engine.counters.batch_size.observe(2);
  state.engines = {engine};
  state.listeners = {{"api", 11, 100, 1, {{"bad_host", 6}}}};
  return state;
}

TEST_F(Counted, TheLiveStateIsAskedForAtEachScrape) {
  metrics_.watch(example_state);
  EXPECT_EQ(value("spillway_admitted_requests"), "7");
  EXPECT_EQ(value("spillway_inflight_requests{be=\"ai-hub\"}"), "4");
  EXPECT_EQ(value("spillway_queue_depth{be=\"local\"}"), "5");
  EXPECT_EQ(value("spillway_backend_up{be=\"ai-hub\"}"), "0");
  EXPECT_EQ(value("spillway_circuit_state{be=\"ai-hub\"}"), "2");
  EXPECT_EQ(value("spillway_circuit_state{be=\"local\"}"), "");
  EXPECT_EQ(value("spillway_engine_kv_blocks_used_ratio{be=\"local\"}"), "0.75");
  EXPECT_EQ(value("spillway_engine_tokens_total{be=\"local\",kind=\"decode\"}"), "40");
  EXPECT_EQ(value("spillway_engine_step_seconds_bucket{be=\"local\",le=\"0.01\"}"), "0");
  EXPECT_EQ(value("spillway_engine_step_seconds_bucket{be=\"local\",le=\"0.02\"}"), "1");
  EXPECT_EQ(value("spillway_engine_step_seconds_bucket{be=\"local\",le=\"+Inf\"}"), "1");
  EXPECT_EQ(value("spillway_engine_batch_size_sum{be=\"local\"}"), "2");
  EXPECT_EQ(value("spillway_http_parse_rejects_total{listener=\"api\",reason=\"bad_host\"}"), "6");
  EXPECT_EQ(value("spillway_log_dropped_total"), "3");
  EXPECT_NE(value("process_resident_memory_bytes"), "");
  EXPECT_EQ(metrics_.text().find("vllm:"), std::string::npos);
}

TEST_F(Counted, ReplicasAreServingOrDown) {
  metrics_.watch([] {
    LiveState state = example_state();
    EngineStatus& status = state.engines.front().status;
    status.ready = true;
    status.replicas.resize(3);
    status.replicas[1].ready = true;
    return state;
  });
  EXPECT_EQ(value("spillway_engine_replicas{be=\"local\",state=\"serving\"}"), "1");
  EXPECT_EQ(value("spillway_engine_replicas{be=\"local\",state=\"down\"}"), "2");
}

TEST_F(Counted, VllmsNamesHaveAPageOfTheirOwn) {
  metrics_.watch(example_state);
  EXPECT_EQ(value_in(metrics_.vllm_text(), "vllm:num_requests_waiting{model_name=\"smollm2\"}"),
            "5");
  EXPECT_EQ(value_in(metrics_.vllm_text(), "vllm:kv_cache_usage_perc{model_name=\"smollm2\"}"),
            "0.75");
}

}  // namespace
}  // namespace spillway::telemetry
