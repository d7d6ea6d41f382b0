// A class that has had to leave stays again only with time in hand.
#include "config/load.h"
#include "gateway/policy/fleet_state.h"
#include "gateway/policy/router.h"

#include <gtest/gtest.h>

namespace spillway::policy {
namespace {

const std::string kHouse = R"(targets:
  local: {kind: local, executor: synthetic, serves: tiny}
  far:
    kind: provider
    base_url: http://127.0.0.1:1/v1
    serves: m
    measured: {ttft_p50: 100ms, ttft_p99: 200ms}
    price_per_million: {input: 1usd, output: 2usd}
models: {auto: policy}
default_class: steady
classes:
  steady: {sla: {ttft: 1s}, ttft_headroom: 0.9, ttft_hysteresis: 0.5}
  nervous: {match: by_name, sla: {ttft: 1s}, ttft_headroom: 0.9}
)";

class Hysteresis : public testing::Test {
 protected:
  Hysteresis() : router_(config::load_text(kHouse, "test", {}).settings) {
    engine_.ready = true;
    engine_.sequences_max = 8;
    engine_.budget.tokens_max = 100;
    engine_.waiting_max = 64;
    engine_.kv_tokens_total = engine_.kv_tokens_free = 100'000;
    engine_.step = {.base = 0.010, .per_prefill_token = 0.001, .steps_seen = 1};
    fleet_.adopt(*router_.settings(), now_);
    request_.model = "auto";
    request_.prompt_tokens = 100;
    request_.completion_tokens_max = 1;
    request_.arrived = now_;
  }

  // Whether a request stays with so many prompts of 100 tokens before it, each 110 ms.
  bool stays(std::size_t prompts) {
    engine_.waiting.assign(prompts, {.prefill_left = 100, .tokens_max = 1});
    const auto plan = router_.plan(request_, fleet_.facts(&engine_, now_));
    fleet_.decided(*plan, request_);
    return plan->candidates.front().local;
  }

  TimePoint now_{std::chrono::hours(1)};
  Router router_;
  EngineStatus engine_;
  FleetState fleet_;
  RequestFacts request_;
};

TEST_F(Hysteresis, OnceAClassHasToLeaveItStaysAgainWithTimeInHand) {
  EXPECT_TRUE(stays(6));
  EXPECT_FALSE(stays(9));
  EXPECT_FALSE(stays(6)) << "it spills";
  EXPECT_TRUE(stays(1)) << "within the half";
  EXPECT_TRUE(stays(6)) << "and so it stays up to its headroom again";
}

TEST_F(Hysteresis, IsEachClassesOwn) {
  EXPECT_FALSE(stays(9));
  request_.class_header = "nervous";
  EXPECT_TRUE(stays(6));
  EXPECT_FALSE(stays(9));
  EXPECT_TRUE(stays(6)) << "each by itself";
  request_.class_header = "";
  EXPECT_FALSE(stays(6));
}

TEST_F(Hysteresis, WhoAsksForLessTimeThanItsClassSaysNothingOfIt) {
  request_.ttft_max = std::chrono::milliseconds(200);
  EXPECT_FALSE(stays(2));
  request_.ttft_max.reset();
  EXPECT_TRUE(stays(6));
}

}  // namespace
}  // namespace spillway::policy
