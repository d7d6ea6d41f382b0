// What the requests after a reload say of its policy, beside those before it.
#include "gateway/reload/probation.h"

#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace spillway {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

const std::string kTargets = R"(targets:
  local: {kind: local, executor: synthetic, serves: tiny}
  near:
    kind: provider
    base_url: http://127.0.0.1:1/v1
    serves: m
    price_per_million: {input: 1usd, output: 2usd}
  far:
    kind: provider
    base_url: http://127.0.0.1:2/v1
    serves: n
    price_per_million: {input: 2usd, output: 4usd}
models: {auto: policy}
)";
const std::string kHere = kTargets + "classes: {chat: {sla: {ttft: 1s}}}\n";
const std::string kAway = kTargets + "classes: {chat: {sla: {ttft: 1s}, spill: always}}\n";

std::shared_ptr<const Edition> edition(const std::string& yaml, std::uint64_t policy = 1) {
  const auto loaded = config::load_text(yaml, "test", {});
  if (!loaded.settings) throw std::runtime_error(to_string(loaded.problems.front()));
  return std::make_shared<const Edition>(loaded.settings, Providers{}, nullptr, policy);
}

Receipt receipt_of(std::uint64_t policy, milliseconds first_token) {
  Receipt receipt;
  receipt.key_name = "team";
  receipt.policy = policy;
  receipt.sla_ttft = 1.0;
  receipt.attempts.resize(1);
  receipt.arrived = TimePoint{} + std::chrono::hours(1);
  receipt.first_token = receipt.arrived + first_token;
  receipt.ended = receipt.arrived + first_token;
  return receipt;
}

Receipt in_time(std::uint64_t policy) { return receipt_of(policy, milliseconds(900)); }

// A request of the policy that is watched, which the one before would have sent elsewhere.
Receipt late_by_it() {
  Receipt receipt = receipt_of(2, milliseconds(1'100));
  receipt.before = PolicyBefore{.sla_ttft = 1.0, .in_time = true, .parts_at = 0};
  return receipt;
}

class ProbationTest : public testing::Test {
 protected:
  std::optional<Probation::Ruling> end(const Receipt& receipt, int times) {
    std::optional<Probation::Ruling> last;
    for (int i = 0; i < times; ++i) {
      if (auto ruling = probation_.ended(receipt)) last = ruling;
    }
    return last;
  }
  // After twenty requests that were in time before.
  void watch(config::Rollback terms = {}) {
    terms.requests_min = 10;
    probation_.take_over(1, std::nullopt);
    end(in_time(1), 20);
    probation_.take_over(2, Probation::Watch{"abc", {edition(kHere), "text"}, terms});
  }

  Probation probation_;
};

TEST_F(ProbationTest, TakesBackWhatBreaksPromisesThatWereKept) {
  watch();
  EXPECT_EQ(probation_.policy(), 2u);
  EXPECT_FALSE(end(late_by_it(), 9));
  const auto ruling = probation_.ended(late_by_it());
  ASSERT_TRUE(ruling);
  EXPECT_EQ(ruling->policy, 2u);
  EXPECT_EQ(ruling->end, WatchEnd::rolled_back);
  EXPECT_THAT(ruling->why, HasSubstr("promises kept: 0.0 % of 10, beside 100.0 % of 20"));
  EXPECT_FALSE(end(late_by_it(), 10)) << "it rules once";
  const auto before = probation_.stop();
  ASSERT_TRUE(before);
  EXPECT_EQ(before->text, "text");
  EXPECT_EQ(probation_.policy(), 0u);
  EXPECT_FALSE(probation_.state().end) << "what was before is not back yet";
  probation_.conclude(ruling->end, ruling->why);
  const WatchState state = probation_.state();
  EXPECT_EQ(state.end, WatchEnd::rolled_back);
  EXPECT_EQ(state.before.attained, 20u);
  EXPECT_EQ(state.now.missed, 20u);
  EXPECT_EQ(state.ends[1], 1u);
}

TEST_F(ProbationTest, WhatThePolicyBeforeWouldHaveDoneAlikeDoesNotCount) {
  watch();
  Receipt alike = late_by_it();
  alike.before->parts_at.reset();
  EXPECT_FALSE(end(alike, 100)) << "the engine, a provider or the load";
  Receipt late_anyway = late_by_it();
  late_anyway.before->in_time = false;
  EXPECT_FALSE(end(late_anyway, 100));
  Receipt refused_before = late_by_it();
  refused_before.before.reset();
  EXPECT_FALSE(end(refused_before, 100));
  EXPECT_EQ(probation_.state().excused, 300u);
}

TEST_F(ProbationTest, ACandidateThatWasNotAskedIsNoDifference) {
  watch();
  Receipt receipt = late_by_it();
  receipt.before->parts_at = 1;
  EXPECT_FALSE(end(receipt, 100)) << "the first was the same";
  receipt.attempts.resize(2);
  EXPECT_TRUE(end(receipt, 100));
}

TEST_F(ProbationTest, WhoWouldHaveHadAnotherTargetToTryHasFailedByIt) {
  watch();
  Receipt receipt = late_by_it();
  receipt.before->parts_at = 1;
  receipt.error = Error{Errc::backend_unavailable, "", "", {}};
  const auto ruling = end(receipt, 100);
  ASSERT_TRUE(ruling);
  EXPECT_THAT(ruling->why, HasSubstr("failed: 100.0 %"));
}

TEST_F(ProbationTest, PromisesAreThoseOfThePolicyBefore) {
  watch();
  Receipt stricter = late_by_it();
  stricter.first_token = stricter.arrived + milliseconds(500);
  stricter.sla_ttft = 0.1;
  EXPECT_FALSE(end(stricter, 100));
  EXPECT_EQ(probation_.state().now.attained, 100u);
}

TEST_F(ProbationTest, RefusalsCountWhereItWouldHaveSentThemSomewhere) {
  watch();
  Receipt refused = late_by_it();
  refused.error = Error{Errc::forbidden, "", "", {}};
  EXPECT_FALSE(end(refused, 100)) << "the client's own affair";
  refused.before->refused_now = true;
  EXPECT_TRUE(end(refused, 10));
}

TEST_F(ProbationTest, OthersSayNothing) {
  watch();
  Receipt of_a_canary = late_by_it();
  of_a_canary.canary = 1;
  Receipt of_before = late_by_it();
  of_before.policy = 1;
  Receipt hurried = late_by_it();
  hurried.has_own_limits = true;
  for (const Receipt& receipt : {of_a_canary, of_before, hurried}) EXPECT_FALSE(end(receipt, 100));
  EXPECT_EQ(probation_.state().now.missed, 0u);
}

TEST_F(ProbationTest, IsOverAfterItsTime) {
  watch({.watch = milliseconds(0)});
  const auto ruling = probation_.ended(in_time(2));
  ASSERT_TRUE(ruling);
  EXPECT_EQ(ruling->end, WatchEnd::kept);
  EXPECT_TRUE(probation_.stop());
  EXPECT_FALSE(end(late_by_it(), 100));
  EXPECT_FALSE(probation_.stop());
}

TEST_F(ProbationTest, WhatIsInForceIsWhatTheNextIsComparedWith) {
  probation_.take_over(1, std::nullopt);
  end(receipt_of(1, milliseconds(1'100)), 20);
  config::Rollback terms;
  terms.requests_min = 10;
  probation_.take_over(2, Probation::Watch{"abc", {edition(kHere), ""}, terms});
  EXPECT_FALSE(end(late_by_it(), 100)) << "it was no better before";
  EXPECT_EQ(probation_.state().before.missed, 20u);
}

class PolicyBeforeTest : public testing::Test {
 protected:
  PolicyBeforeTest() {
    engine_.ready = true;
    engine_.sequences_max = 8;
    engine_.budget.tokens_max = 100;
    engine_.waiting_max = 64;
    engine_.kv_tokens_total = engine_.kv_tokens_free = 100'000;
    engine_.step = {.base = 0.010, .per_prefill_token = 0.001, .steps_seen = 1};
    fleet_.now = TimePoint(std::chrono::hours(1));
    fleet_.local = &engine_;
    facts_.model = "auto";
    facts_.prompt_tokens = 100;
    facts_.completion_tokens_max = 1;
    facts_.arrived = fleet_.now;
  }

  std::optional<PolicyBefore> told(const std::string& before, const std::string& now) {
    now_ = edition(now);
    before_ = edition(before);
    const auto plan = now_->router.plan(facts_, fleet_);
    return policy_before(*before_, plan, facts_, fleet_, policy::Turn::unknown);
  }

  EngineStatus engine_;
  policy::FleetFacts fleet_;
  policy::RequestFacts facts_;
  std::shared_ptr<const Edition> now_, before_;
};

TEST_F(PolicyBeforeTest, TheSamePolicyDoesNotPart) {
  const auto same = told(kHere, kHere);
  ASSERT_TRUE(same);
  EXPECT_FALSE(same->parts_at);
  EXPECT_TRUE(same->in_time);
  EXPECT_EQ(same->sla_ttft, 1.0);
  EXPECT_FALSE(same->sla_per_token);
}

TEST_F(PolicyBeforeTest, AnotherTargetOrATargetThatIsTreatedOtherwiseParts) {
  EXPECT_EQ(told(kHere, kAway)->parts_at, 0u);
  std::string hasty = kAway;
  hasty.replace(hasty.find("    serves: m\n"), 0, "    timeouts: {first_token: 2s}\n");
  EXPECT_EQ(told(kAway, hasty)->parts_at, 0u);
  std::string cheaper = kAway;
  cheaper.replace(cheaper.find("input: 2usd"), 11, "input: 3usd");
  EXPECT_FALSE(told(kAway, cheaper)->parts_at) << "who is asked shows what that does";
}

TEST_F(PolicyBeforeTest, FewerTargetsToTryPartBehindTheLast) {
  EXPECT_EQ(told(kAway, kAway + "limits: {attempts_max: 1}\n")->parts_at, 1u);
}

TEST_F(PolicyBeforeTest, WhatIsRefusedNowIsTold) {
  const auto refused = told(kHere, kHere + "rules: [{name: no, route: refuse}]\n");
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->refused_now);
  EXPECT_EQ(refused->parts_at, 0u);
  EXPECT_FALSE(told(kHere + "rules: [{name: no, route: refuse}]\n", kHere));
}

TEST_F(PolicyBeforeTest, AnEngineThatIsDownIsNobodysFault) {
  engine_.ready = false;
  EXPECT_FALSE(told(kHere, kAway)->parts_at) << "it would have gone the same way";
}

}  // namespace
}  // namespace spillway
