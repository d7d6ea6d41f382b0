// The last decisions made again by another policy: what moves, what is stranded, what it costs and
// what is in time, by the promises in force.
#include "gateway/reload/rehearsal.h"

#include "config/load.h"
#include "gateway/policy/fleet_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace spillway {
namespace {

using testing::HasSubstr;

const std::string kHouse = R"(targets:
  near: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: a, price_per_million: {input: 2usd, output: 2usd},
         measured: {ttft_p50: 100ms, ttft_p99: 200ms}}
  far: {kind: provider, base_url: 'http://127.0.0.1:2/v1', serves: b, price_per_million: {input: 1usd, output: 1usd},
        measured: {ttft_p50: 5s, ttft_p99: 9s}}
models: {auto: policy}
)";

policy::Router router_of(const std::string& rest) {
  const config::Loaded loaded = config::load_text(kHouse + rest, "test");
  if (!loaded.settings) ADD_FAILURE() << to_string(loaded.problems.front());
  return policy::Router(loaded.settings);
}

class RehearsalTest : public testing::Test {
 protected:
  // `count` requests for `auto`, far enough apart that each is kept.
  void decide(int count, int prompt_tokens = 1'000, const config::Key* key = nullptr) {
    for (int i = 0; i < count; ++i) {
      policy::FleetFacts fleet;
      fleet.now = now_ += std::chrono::milliseconds(10);
      policy::RequestFacts request;
      const std::string model = "auto";  // Gone when it is rehearsed.
      request.model = model;
      request.key = key;
      request.prompt_tokens = prompt_tokens;
      request.completion_tokens_max = 100;
      request.arrived = now_;
      rehearsal_.record(request, std::make_shared<const Moment>(std::nullopt, std::move(fleet)),
                        policy::Turn::unknown);
    }
  }

  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  Rehearsal rehearsal_{4};
  const std::string promise_ = "classes: {chat: {sla: {ttft: 1s}, prefer: ";
  const policy::Router fastest_ = router_of(promise_ + "fastest}}\n");
};

TEST_F(RehearsalTest, KeepsTheLastThatAreFarEnoughApart) {
  EXPECT_EQ(rehearsal_.run(fastest_, fastest_).decisions, 0u);
  decide(3);
  now_ -= std::chrono::milliseconds(1);  // The next is nine milliseconds later.
  decide(1);
  EXPECT_EQ(rehearsal_.run(fastest_, fastest_).decisions, 3u);
  decide(7);
  EXPECT_EQ(rehearsal_.run(fastest_, fastest_).decisions, 4u);
}

TEST_F(RehearsalTest, AnotherTargetIsCheaperAndTooLate) {
  decide(4);
  const policy::Router cheap =
      router_of("classes: {chat: {sla: {ttft: 20s}, prefer: cheapest}}\nrules: [{route: far}]\n");
  const Rehearsed sum = rehearsal_.run(fastest_, cheap);
  EXPECT_EQ(sum.moved, 4u);
  EXPECT_EQ(sum.sent, 4u);
  EXPECT_EQ(sum.stranded, 0u);
  EXPECT_EQ(sum.cost_before, 2 * sum.cost_after);
  EXPECT_EQ(sum.cost_cheapest, sum.cost_after);
  EXPECT_EQ(sum.in_time_before, 4u);
  EXPECT_EQ(sum.in_time_after, 0u) << "the promise in force counts, not the easier one";
  ASSERT_EQ(sum.moves.size(), 1u);
  EXPECT_EQ(sum.moves[0].request_class, "chat");
  EXPECT_EQ(sum.moves[0].from + " to " + sum.moves[0].to, "near to far");
  EXPECT_EQ(sum.moves[0].requests, 4u);
  EXPECT_EQ(sum.moves[0].cost_change, sum.cost_after - sum.cost_before);
}

TEST_F(RehearsalTest, ClassesInAnotherOrderExpectTheSameAnswers) {
  const std::string chat = "chat: {spill: always}", bulk = "bulk: {match: by_name, spill: always}";
  const std::string end = "}\ndefault_class: chat\n";
  const policy::Router before = router_of("classes: {" + chat + ", " + bulk + end);
  const policy::Router after = router_of("classes: {" + bulk + ", " + chat + end);
  policy::FleetState fleet;
  fleet.adopt(*before.settings(), now_);
  for (int i = 0; i < 5; ++i) {
    fleet.completed({.request_class = "chat", .prompt_tokens = 1'000, .completion_tokens = 10});
    fleet.completed({.request_class = "bulk", .prompt_tokens = 1'000, .completion_tokens = 4'000});
  }
  policy::RequestFacts request;
  request.model = "auto";
  request.prompt_tokens = 1'000;
  const auto length = [&](const policy::Router& router) {
    const auto plan = router.plan(request, fleet.facts(nullptr, now_), policy::Turn::unknown);
    return plan ? plan->completion_tokens : 0.0;
  };
  EXPECT_NEAR(length(before), 10.0, 0.1);
  EXPECT_NEAR(length(after), 10.0, 0.1);
  fleet.adopt(*after.settings(), now_);
  EXPECT_NEAR(length(after), 10.0, 0.1) << "nothing is forgotten";
}

TEST_F(RehearsalTest, BeginsWithTheNewestAndEndsInTime) {
  decide(6);
  const policy::Router closed = router_of(
      promise_ + "fastest}}\nrules: [{name: long, if: 'prompt_tokens > 1000', route: refuse}]\n");
  decide(1, 2'000);
  EXPECT_EQ(rehearsal_.run(fastest_, closed).stranded, 1u);
  EXPECT_EQ(rehearsal_.run(fastest_, closed).moves[0].to, "refused");
  EXPECT_EQ(rehearsal_.run(fastest_, closed, std::chrono::milliseconds(0)).decisions, 0u);
}

TEST_F(RehearsalTest, TellsOfOneThatMayGoNowhere) {
  decide(2);
  const policy::Router closed =
      router_of(promise_ + "fastest}}\nrules: [{name: night, route: refuse, message: Closed.}]\n");
  const Rehearsed sum = rehearsal_.run(fastest_, closed);
  EXPECT_EQ(sum.stranded, 2u);
  EXPECT_EQ(sum.sent, 0u);
  EXPECT_THAT(sum.example, HasSubstr("model `auto`, class `chat`: Closed. (rule `night`, line 8)"));
  EXPECT_EQ(rehearsal_.run(closed, fastest_).stranded, 0u);
}

TEST_F(RehearsalTest, CountsThoseWhoseKeyGoes) {
  const auto with_key = [&](const std::string& name) {
    return router_of(promise_ + "fastest}}\nkeys: {" + name + ": {secret: env:PATH}}\n");
  };
  config::Key web, made;
  web.name = "web";
  made.name = "made-while-it-runs";
  decide(1, 1'000, &web);
  decide(1, 1'000, &made);
  decide(1);
  EXPECT_EQ(rehearsal_.run(with_key("web"), with_key("wbe")).unauthenticated, 1u);
  EXPECT_EQ(rehearsal_.run(with_key("web"), with_key("web")).unauthenticated, 0u);
}

}  // namespace
}  // namespace spillway
