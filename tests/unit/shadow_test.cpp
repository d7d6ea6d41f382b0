// A shadow policy beside the one in force: what it counts, what it keeps, and that it may be
// behind.
#include "gateway/reload/shadow.h"

#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kHouse = R"(targets:
  near: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: a, price_per_million: {input: 2usd, output: 2usd}}
  far: {kind: provider, base_url: 'http://127.0.0.1:2/v1', serves: b, price_per_million: {input: 1usd, output: 1usd}}
models: {auto: policy}
classes: {chat: {sla: {ttft: 20s}}}
)";

std::shared_ptr<const config::Settings> settings_of(const std::string& rest) {
  const config::Loaded loaded = config::load_text(kHouse + rest, "test");
  if (!loaded.settings) ADD_FAILURE() << to_string(loaded.problems.front());
  return loaded.settings;
}

class ShadowTest : public testing::Test {
 protected:
  // A request, and what the policy in force makes of it.
  struct Decided {
    policy::RequestFacts request;
    std::shared_ptr<const Moment> moment;
    Result<policy::Plan> made;
  };

  Decided decided(std::string_view label) const {
    policy::FleetFacts fleet;
    fleet.now = TimePoint{} + std::chrono::hours(1);
    policy::RequestFacts request;
    request.model = "auto";
    request.label = label;
    request.prompt_tokens = 1'000;
    request.completion_tokens_max = 100;
    const auto moment = std::make_shared<const Moment>(std::nullopt, std::move(fleet));
    return {request, moment, in_force_.plan(request, moment->fleet)};
  }

  void consider(const std::string& id, const Decided& one) {
    shadow_.consider(id, one.request, one.moment, one.made);
  }
  void consider(const std::string& id, std::string_view label = "") {
    consider(id, decided(label));
  }

  // Waits until so many were considered or skipped.
  ShadowState after(std::uint64_t requests) {
    for (int i = 0; i < 2'000; ++i) {
      ShadowState state = shadow_.state();
      if (state.agreed + state.differed + state.skipped >= requests) return state;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "not within ten seconds";
    return shadow_.state();
  }

  const policy::Router in_force_{settings_of("rules: [{if: \"label == 'no'\", route: refuse}]\n")};
  Shadow shadow_;
};

TEST_F(ShadowTest, IsNobodyUntilItFollows) {
  consider("req_1");
  EXPECT_THAT(shadow_.state().policy, IsEmpty());
  EXPECT_FALSE(shadow_.find("req_1"));
}

TEST_F(ShadowTest, TellsWhatItWouldHaveDoneAndWhatThatCosts) {
  shadow_.follow("next.yaml",
                 settings_of("rules: [{name: dear, if: \"label == 'dear'\", route: near}]\n"));
  consider("req_1");
  consider("req_2", "dear");
  consider("req_3", "dear");
  consider("req_4", "no");
  const ShadowState state = after(4);
  EXPECT_EQ(state.policy, "next.yaml");
  EXPECT_EQ(state.agreed, 1u);
  EXPECT_EQ(state.differed, 3u);
  EXPECT_GT(state.cost_in_force, 0);
  EXPECT_EQ(3 * state.cost_of_shadow, 5 * state.cost_in_force) << "1 + 2 + 2 beside 1 + 1 + 1";
  ASSERT_THAT(state.moves, SizeIs(2));
  EXPECT_EQ(state.moves[0].from, "refused");
  EXPECT_EQ(state.moves[0].cost_change, 0);
  EXPECT_EQ(state.moves[1].request_class + state.moves[1].from + state.moves[1].to, "chatfarnear");
  EXPECT_EQ(state.moves[1].requests, 2u);

  const auto choice = shadow_.find("req_2");
  ASSERT_TRUE(choice);
  EXPECT_TRUE(choice->differs);
  EXPECT_EQ(choice->target + choice->reason + choice->rule, "nearruledear");
  EXPECT_FALSE(shadow_.find("req_1")->differs);
  EXPECT_FALSE(shadow_.find("req_9"));
}

TEST_F(ShadowTest, SaysWhyItWouldRefuse) {
  shadow_.follow("next.yaml",
                 settings_of("rules: [{name: all, route: refuse, message: Closed.}]\n"));
  consider("req_1");
  EXPECT_EQ(after(1).cost_in_force, 0) << "both must send it somewhere";
  EXPECT_EQ(shadow_.find("req_1")->target, "refused");
  EXPECT_EQ(shadow_.find("req_1")->reason, "Closed.");
  EXPECT_EQ(shadow_.find("req_1")->rule, "all");
}

TEST_F(ShadowTest, SkipsWhatItCannotKeepUpWith) {
  shadow_.follow("next.yaml", settings_of(""));
  const Decided one = decided("");  // Once: what comes must come faster than it can be decided.
  for (int i = 0; i < 20'000; ++i) consider("req_" + std::to_string(i), one);
  const ShadowState state = after(20'000);
  EXPECT_GT(state.skipped, 0u);
  EXPECT_GE(state.agreed, 1'024u);
  EXPECT_EQ(state.agreed + state.skipped, 20'000u);
}

TEST_F(ShadowTest, AnotherPolicyBeginsAtZero) {
  shadow_.follow("next.yaml", settings_of(""));
  consider("req_1");
  after(1);
  shadow_.follow("other.yaml", settings_of("rules: [{route: near}]\n"));
  EXPECT_EQ(shadow_.state().agreed, 0u);
  EXPECT_FALSE(shadow_.find("req_1"));
  consider("req_2");
  EXPECT_EQ(after(1).differed, 1u);
  shadow_.stand_down("other.yaml", "7:1: rules: …");
  consider("req_3");
  EXPECT_THAT(shadow_.state().problem, HasSubstr("rules"));
  EXPECT_EQ(shadow_.state().differed, 0u);
  shadow_.stop();
  consider("req_4");
}

}  // namespace
}  // namespace spillway
