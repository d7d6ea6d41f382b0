// What the rules see of a request, the engine and the providers, fact by fact.
#include "config/load.h"
#include "gateway/policy/router.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace spillway::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kHouse = R"(keys:
  till: {secret: env:KEY, tenant: shop}
targets:
  local: {kind: local, executor: synthetic, serves: tiny}
  ai-hub:
    kind: provider
    base_url: http://127.0.0.1:1/v1
    serves: [m, shared]
    price_per_million: {input: 1usd, output: 2usd}
    measured: {quality: 0.79}
  other:
    kind: provider
    base_url: http://127.0.0.1:1/v1
    serves: shared
    price_per_million: {input: 3usd, output: 3usd}
models: {auto: policy}
classes:
  chat: {sla: {ttft: 1s, per_token: 50ms}}
rules:
)";

// A rule that asks for every fact, so that the report tells them all.
std::string every_fact() {
  std::string rules;
  for (const language::FactRow& row : language::fact_rows()) {
    for (const std::string target : {"local", "ai-hub", "other"}) {
      const std::string word(row.word);
      if (row.of == language::Of::provider && target == "local") continue;
      const std::string fact = row.of == language::Of::nothing ? word : word + "(" + target + ")";
      rules += "  - {if: \"" + fact + " == " + fact + "\", route: class}\n";
    }
  }
  return rules;
}

class PolicyFacts : public testing::Test {
 protected:
  PolicyFacts() {
    loaded_ = config::load_text(kHouse + every_fact(), "test", [](const std::string&) {
      return std::optional<std::string>("secret");
    });
    if (!loaded_.settings) throw std::runtime_error(to_string(loaded_.problems.front()));
    engine_.ready = true;
    engine_.sequences_max = 8;
    engine_.budget.tokens_max = 100;
    engine_.waiting_max = 2;
    engine_.kv_tokens_total = 1'000;
    engine_.kv_tokens_free = 250;
    engine_.step = {.base = 0.010, .per_prefill_token = 0.001, .steps_seen = 1};
    fleet_.now = TimePoint(std::chrono::hours(1));
    fleet_.local = &engine_;
    request_.model = "auto";
    request_.prompt_tokens = 100;
    request_.completion_tokens_max = 51;
    request_.completion_tokens_expected = 51.0;
    request_.arrived = fleet_.now;
    provider_.name = "ai-hub";
    provider_.ttft_p50 = 0.2;
    provider_.ttft_p90 = 0.4;
    provider_.ttft_p99 = 0.8;
    provider_.tokens_per_second = 100.0;
    provider_.in_flight = 3;
  }

  std::map<std::string, std::string> facts() {
    fleet_.providers = {provider_};
    std::map<std::string, std::string> all;
    RuleReport report;
    (void)Router(loaded_.settings).plan(request_, fleet_, Turn::unknown, &report);
    for (const ToldFact& fact : report.facts) all[fact.name] = fact.value;
    return all;
  }

  config::Loaded loaded_;
  EngineStatus engine_;
  FleetFacts fleet_;
  RequestFacts request_;
  ProviderFacts provider_;
};

TEST_F(PolicyFacts, OfTheRequest) {
  auto usual = facts();
  EXPECT_EQ(usual["class"], "'chat'");
  EXPECT_EQ(usual["model"], "'auto'");
  EXPECT_EQ(usual["tenant"], "'anonymous'");
  EXPECT_EQ(usual["key"], "''");
  EXPECT_EQ(usual["label"], "''");
  EXPECT_EQ(usual["streaming"], "false");
  EXPECT_EQ(usual["prompt_tokens"], "100");
  EXPECT_EQ(usual["max_tokens"], "51");
  EXPECT_EQ(usual["expected_tokens"], "51");
  EXPECT_EQ(usual["sla.ttft"], "1000ms");
  EXPECT_EQ(usual["sla.per_token"], "50ms");
  EXPECT_EQ(usual["deadline_left"], "600.0s");  // limits.request_timeout
  request_.key = &loaded_.settings->keys.front();
  request_.label = "gold";
  request_.service_tier = "flex";
  request_.streaming = true;
  request_.completion_tokens_max.reset();
  request_.ttft_max = milliseconds(300);
  auto own = facts();
  EXPECT_EQ(own["tenant"], "'shop'");
  EXPECT_EQ(own["key"], "'till'");
  EXPECT_EQ(own["label"], "'gold'");
  EXPECT_EQ(own["service_tier"], "'flex'");
  EXPECT_EQ(own["streaming"], "true");
  EXPECT_EQ(own["max_tokens"], "infinite");
  EXPECT_EQ(own["sla.ttft"], "300ms");
}

TEST_F(PolicyFacts, TimeThatHasPassedIsGone) {
  request_.arrived = fleet_.now - seconds(5);
  EXPECT_EQ(facts()["deadline_left"], "595.0s");
  request_.deadline = seconds(30);
  EXPECT_EQ(facts()["deadline_left"], "25.0s");
}

TEST_F(PolicyFacts, OfTheClock) {
  fleet_.clock = {5, 23.5 * 3'600.0};
  EXPECT_EQ(facts()["weekday"], "'sat'");
  EXPECT_EQ(facts()["time"], "23:30");
}

TEST_F(PolicyFacts, OfTheEngine) {
  engine_.running = {{.prefill_left = 40, .tokens_max = 10},
                     {.context_tokens = 9, .generated = 1, .tokens_max = 10}};
  engine_.waiting = {{.prefill_left = 60, .tokens_max = 10}};
  auto busy = facts();
  EXPECT_EQ(busy["queue.requests"], "1");
  EXPECT_EQ(busy["queue.tokens"], "100");
  EXPECT_EQ(busy["running.requests"], "2");
  EXPECT_EQ(busy["kv.free"], "0.25");
  EXPECT_EQ(busy["available(local)"], "true");
}

TEST_F(PolicyFacts, OfTheLocalTarget) {
  auto idle = facts();  // One step of 10 ms and 100 prompt tokens, then 50 of 10 ms.
  EXPECT_EQ(idle["available(local)"], "true");
  EXPECT_EQ(idle["meets_sla(local)"], "true");
  EXPECT_EQ(idle["predicted_ttft(local)"], "110ms");
  EXPECT_EQ(idle["predicted_finish(local)"], "610ms");
  EXPECT_EQ(idle["price(local)"], "0.000000usd");
  fleet_.ttft_correction = 9.0;  // 990 ms are within 1 s, not within the headroom's share of it.
  EXPECT_EQ(facts()["meets_sla(local)"], "false");
  EXPECT_EQ(facts()["available(local)"], "true");
  engine_.ready = false;
  auto down = facts();
  EXPECT_EQ(down["available(local)"], "false");
  EXPECT_EQ(down["predicted_ttft(local)"], "infinite");
  EXPECT_EQ(down["predicted_finish(local)"], "infinite");
  fleet_.local = nullptr;
  EXPECT_EQ(facts()["queue.tokens"], "0");
}

TEST_F(PolicyFacts, OfAProvider) {
  auto healthy = facts();
  EXPECT_EQ(healthy["available(ai-hub)"], "true");
  EXPECT_EQ(healthy["meets_sla(ai-hub)"], "true");
  EXPECT_EQ(healthy["predicted_ttft(ai-hub)"], "400ms");
  EXPECT_EQ(healthy["predicted_finish(ai-hub)"], "900ms");
  EXPECT_EQ(healthy["price(ai-hub)"], "0.000202usd");
  EXPECT_EQ(healthy["price_per_1k_input(ai-hub)"], "0.001000usd");
  EXPECT_EQ(healthy["price_per_1k_output(ai-hub)"], "0.002000usd");
  EXPECT_EQ(healthy["ttft_p50(ai-hub)"], "200ms");
  EXPECT_EQ(healthy["ttft_p99(ai-hub)"], "800ms");
  EXPECT_EQ(healthy["tokens_per_second(ai-hub)"], "100");
  EXPECT_EQ(healthy["in_flight(ai-hub)"], "3");
  EXPECT_EQ(healthy["quality(ai-hub)"], "0.79");
  EXPECT_EQ(healthy["available(other)"], "true");  // As its catalogue says.
  provider_.permission = Permission::open;
  auto broken = facts();
  EXPECT_EQ(broken["available(ai-hub)"], "false");
  EXPECT_EQ(broken["meets_sla(ai-hub)"], "false");
  EXPECT_EQ(broken["predicted_ttft(ai-hub)"], "infinite");
  EXPECT_EQ(broken["predicted_finish(ai-hub)"], "infinite");
  EXPECT_EQ(broken["ttft_p99(ai-hub)"], "800ms");
}

TEST_F(PolicyFacts, OfTargetsThatDoNotServeTheModel) {
  request_.model = "shared";
  auto shared = facts();
  EXPECT_EQ(shared["available(local)"], "false");
  EXPECT_EQ(shared["available(ai-hub)"], "true");
  EXPECT_EQ(shared["available(other)"], "true");
  request_.model = "m";
  EXPECT_EQ(facts()["available(other)"], "false");
  EXPECT_EQ(facts()["predicted_ttft(other)"], "infinite");
}

TEST_F(PolicyFacts, WhatAClientWritesIsCutShort) {
  const std::string longest(64, 'x'), longer(65, 'x');
  request_.label = longest;
  EXPECT_EQ(facts()["label"], "'" + longest + "'");
  request_.label = longer;
  EXPECT_EQ(facts()["label"], "'" + longest + "…'");
}

}  // namespace
}  // namespace spillway::policy
