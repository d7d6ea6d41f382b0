// How many attempts there may be after the first ones.
#include "gateway/policy/fleet_state.h"
#include "gateway/policy/retry_budget.h"

#include <gtest/gtest.h>

namespace spillway::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};

int granted(RetryBudget& budget, const config::RetryBudget& terms, int wanted, TimePoint now) {
  int count = 0;
  for (int i = 0; i < wanted; ++i) {
    if (!budget.allows(terms, now)) continue;
    budget.made(Occasion::again, now);
    ++count;
  }
  return count;
}

void first_ones(RetryBudget& budget, int count, TimePoint now) {
  for (int i = 0; i < count; ++i) budget.made(Occasion::first, now);
}

TEST(RetryBudget, GrantsAShareOfTheFirstAttempts) {
  const config::RetryBudget terms{.share_max = 0.2, .per_second_min = 0};
  RetryBudget budget;
  EXPECT_FALSE(budget.allows(terms, kStart)) << "nobody was asked";
  first_ones(budget, 100, kStart);
  EXPECT_EQ(granted(budget, terms, 100, kStart + seconds(5)), 20);
  first_ones(budget, 10, kStart + seconds(5));
  EXPECT_EQ(granted(budget, terms, 100, kStart + seconds(5)), 2);
}

TEST(RetryBudget, ForgetsAfterTenSeconds) {
  const config::RetryBudget terms{.share_max = 1.0, .per_second_min = 0};
  RetryBudget budget;
  first_ones(budget, 7, kStart);
  EXPECT_TRUE(budget.allows(terms, kStart + milliseconds(9'999)));
  EXPECT_FALSE(budget.allows(terms, kStart + seconds(10)));
}

TEST(RetryBudget, LetsAFewThroughEachSecond) {
  const config::RetryBudget terms{.share_max = 0.0, .per_second_min = 3};
  RetryBudget budget;
  EXPECT_EQ(granted(budget, terms, 10, kStart), 3);
  EXPECT_EQ(granted(budget, terms, 10, kStart + milliseconds(999)), 0);
  EXPECT_EQ(granted(budget, terms, 10, kStart + seconds(1)), 3);
  const config::RetryBudget none{.share_max = 0.0, .per_second_min = 0};
  EXPECT_FALSE(budget.allows(none, kStart + seconds(20)));
}

TEST(RetryBudget, DoesNotCountHedges) {
  const config::RetryBudget terms{.share_max = 1.0, .per_second_min = 0};
  RetryBudget budget;
  first_ones(budget, 2, kStart);
  for (int i = 0; i < 10; ++i) budget.made(Occasion::beside, kStart);
  EXPECT_EQ(granted(budget, terms, 10, kStart), 2);
}

class RetriedFleet : public testing::Test {
 protected:
  RetriedFleet() {
    settings_.providers.push_back({.name = "cloud", .concurrency_max = 2});
    settings_.policy.retry_budget = {.share_max = 1.0, .per_second_min = 0};
    fleet_.adopt(settings_, kStart);
  }

  Entered enter(Occasion occasion) {
    Call call;
    call.occasion = occasion;
    return fleet_.enter("cloud", call, kStart);
  }

  config::Settings settings_;
  FleetState fleet_;
};

TEST_F(RetriedFleet, SaysThatTheBudgetIsUsedUp) {
  EXPECT_TRUE(enter(Occasion::again).retries_used_up);
  ASSERT_TRUE(enter(Occasion::first).visit);
  ASSERT_TRUE(enter(Occasion::again).visit);
  const Entered second = enter(Occasion::again);
  EXPECT_TRUE(second.retries_used_up);
  EXPECT_FALSE(second.visit);
}

TEST_F(RetriedFleet, KnowsAProviderThatOnlyWeighsOtherwise) {
  config::Settings settings = settings_;
  const auto known = fleet_.servers(settings.providers.front().name);
  settings.providers.front().weight = 7.0;
  settings.providers.front().residency = "eu";
  fleet_.adopt(settings, kStart);
  EXPECT_EQ(fleet_.servers(settings.providers.front().name), known);
  settings.providers.front().concurrency_max = 3;
  fleet_.adopt(settings, kStart);
  EXPECT_NE(fleet_.servers(settings.providers.front().name), known);
}

TEST_F(RetriedFleet, CountsOnlyWhoWasAsked) {
  ASSERT_TRUE(enter(Occasion::first).visit);
  ASSERT_TRUE(enter(Occasion::first).visit);
  for (int i = 0; i < 5; ++i) {
    const Entered full = enter(Occasion::again);
    EXPECT_FALSE(full.visit);
    EXPECT_FALSE(full.retries_used_up) << "it has no place";
  }
}

}  // namespace
}  // namespace spillway::policy
