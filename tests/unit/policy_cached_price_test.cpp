// What a prompt is expected to cost at a provider that has its beginning in its cache.
#include "gateway/policy/cache_belief.h"
#include "gateway/policy/fleet_state.h"
#include "gateway/policy/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace spillway::policy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kStart{seconds(100'000)};

TEST(CacheBelief, BeginsAtOneHalf) {
  CacheBelief belief;
  EXPECT_DOUBLE_EQ(belief.share(kStart), 0.5);
}

TEST(CacheBelief, FollowsWhatIsBilled) {
  CacheBelief good;
  CacheBelief bad;
  for (int i = 0; i < 50; ++i) {
    good.billed(1'000.0, 900.0, kStart);
    bad.billed(1'000.0, 0.0, kStart);
  }
  EXPECT_NEAR(good.share(kStart), 0.9, 0.02);
  EXPECT_LT(bad.share(kStart), 0.02) << "who never reports cached tokens has no discount";
}

TEST(CacheBelief, BelievesNoMoreThanWasExpected) {
  CacheBelief belief;
  for (int i = 0; i < 50; ++i) belief.billed(100.0, 5'000.0, kStart);
  EXPECT_LE(belief.share(kStart), 1.0);
}

TEST(CacheBelief, ForgetsInTime) {
  CacheBelief belief;
  for (int i = 0; i < 50; ++i) belief.billed(1'000.0, 0.0, kStart);
  EXPECT_GT(belief.share(kStart + hours(5)), 0.4);
}

// Two providers that cost the same, but for cached tokens at `first`; and a dearer one.
class CachedPrice : public testing::Test {
 protected:
  CachedPrice() {
    auto settings = std::make_shared<config::Settings>();
    settings->providers = {provider("first", 1'000, 100), provider("second", 1'000, 100),
                           provider("dear", 1'500, 150), provider("plain", 1'600, 1'600)};
    settings->policy.classes.push_back({.name = "all"});
    settings->policy.default_class = "all";
    settings->policy.aliases.push_back({.name = "auto"});
    fleet_.adopt(*settings, kStart);
    router_.emplace(std::move(settings));
  }

  static config::ProviderTarget provider(const std::string& name, int input, int cached) {
    config::ProviderTarget provider;
    provider.name = name;
    provider.serves = {{"m", "m"}};
    provider.price.input_per_million = input * 1'000'000LL;
    provider.price.cached_input_per_million = cached * 1'000'000LL;
    provider.price.output_per_million = input * 1'000'000LL;
    return provider;
  }

  static PromptMarks talk(char user, int turns) {
    ChatRequest request;
    for (int i = 0; i < 2 * turns - 1; ++i) {
      const Role role = i % 2 == 0 ? Role::user : Role::assistant;
      request.messages.push_back({role, std::string(1'000, user), "", true});
    }
    return PromptMarks(request, "tenant", "auto");
  }

  Plan plan(const PromptMarks& prompt, int turns, TimePoint now = kStart) const {
    RequestFacts request;
    request.model = "auto";
    request.prompt_tokens = 500 * turns - 250;
    request.completion_tokens_max = 10;
    return *router_->plan(request, fleet_.facts(nullptr, now, &prompt));
  }

  // Asks `target`, who bills that share of what it was expected to have.
  void ask(const std::string& target, const PromptMarks& prompt, double share = 1.0) {
    Call call;
    call.prompt = &prompt;
    Entered entered = fleet_.enter(target, call, kStart);
    entered.servers->answered(*entered.visit, kStart);
    const double expected = 1'000.0 * entered.visit->known_share;
    entered.servers->billed(*entered.visit, 1'000, static_cast<int>(share * expected), kStart);
    entered.servers->leave(*entered.visit);
  }

  static const Alternative& judged(const Plan& plan, std::string_view target) {
    return *std::find_if(plan.considered.begin(), plan.considered.end(),
                         [&](const Alternative& one) { return one.target == target; });
  }

  FleetState fleet_;
  std::optional<Router> router_;
};

TEST_F(CachedPrice, KeepsAConversationWhereItsPrefixIs) {
  EXPECT_EQ(plan(talk('a', 1), 1).candidates.front().target, "first");
  ask("second", talk('a', 1));
  for (int turn = 2; turn <= 6; ++turn) {
    EXPECT_EQ(plan(talk('a', turn), turn).candidates.front().target, "second") << turn;
    ask("second", talk('a', turn));
  }
  EXPECT_EQ(judged(plan(talk('b', 2), 2), "second").cached_tokens, 0) << "another's prefix";
}

TEST_F(CachedPrice, IsTheShareThatIsBelieved) {
  ask("second", talk('a', 1));
  const Plan next = plan(talk('a', 2), 2);
  // A third of the prompt is known, and half of that believed.
  EXPECT_NEAR(judged(next, "second").cached_tokens, 750 / 3 / 2, 1);
  EXPECT_EQ(judged(next, "first").cached_tokens, 0);
  EXPECT_EQ(judged(next, "first").expected_cost - judged(next, "second").expected_cost,
            judged(next, "second").cached_tokens * 900);
  EXPECT_NE(explain(next, {}, {}).find("125 cached"), std::string::npos);
}

TEST_F(CachedPrice, IsNoReasonToPayMore) {
  ask("dear", talk('a', 1));
  EXPECT_EQ(plan(talk('a', 2), 2).candidates.front().target, "first")
      << "what is cached there is less than what it is dearer";
}

TEST_F(CachedPrice, PaysADearerOneWhereItIsCheaperInTheEnd) {
  for (int turn = 1; turn <= 5; ++turn) ask("dear", talk('a', turn));
  EXPECT_EQ(plan(talk('a', 6), 6).candidates.front().target, "dear");
}

TEST_F(CachedPrice, IsLostByWhoNeverBillsIt) {
  for (int i = 0; i < 30; ++i) ask("second", talk('a', 6), 0.0);
  EXPECT_LT(judged(plan(talk('a', 6), 6), "second").cached_tokens, 300);
  for (int turn = 1; turn <= 2; ++turn) ask("first", talk('b', turn));
  ask("second", talk('b', 2));
  EXPECT_EQ(plan(talk('b', 3), 3).candidates.front().target, "first");
}

TEST_F(CachedPrice, IsForgottenWithThePrefix) {
  ask("second", talk('a', 1));
  EXPECT_EQ(judged(plan(talk('a', 2), 2, kStart + minutes(11)), "second").cached_tokens, 0);
}

TEST_F(CachedPrice, IsNotExpectedOfWhoFailed) {
  const PromptMarks prompt = talk('a', 1);
  Call call;
  call.prompt = &prompt;
  Entered entered = fleet_.enter("second", call, kStart);
  entered.servers->failed(*entered.visit, {Errc::backend_unavailable, "", "", std::nullopt},
                          kStart);
  entered.servers->leave(*entered.visit);
  EXPECT_EQ(judged(plan(talk('a', 2), 2), "second").cached_tokens, 0);
}

TEST_F(CachedPrice, DoesNotLowerWhatIsHeld) {
  const config::NanoUsd before = plan(talk('a', 2), 2).worst_case_cost;
  ask("second", talk('a', 2));
  const Plan known = plan(talk('a', 2), 2);
  EXPECT_GT(judged(known, "second").cached_tokens, 0);
  EXPECT_EQ(known.worst_case_cost, before);
  EXPECT_EQ(known.candidates.front().worst_case_cost, known.candidates[1].worst_case_cost);
}

TEST_F(CachedPrice, IsNotTakenWhereItSavesNothing) {
  ask("plain", talk('a', 2));
  EXPECT_EQ(judged(plan(talk('a', 2), 2), "plain").cached_tokens, 0);
}

}  // namespace
}  // namespace spillway::policy
