// How much a class may spend on second targets.
#include "gateway/policy/hedge_budget.h"

#include <gtest/gtest.h>

namespace spillway::policy {
namespace {

using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};

TEST(HedgeBudget, GrantsAShareOfWhatWasSpent) {
  HedgeBudget budget;
  EXPECT_FALSE(budget.begin(0, 1.0, kStart)) << "nothing has been spent";
  budget.spent(1'000'000, 0, false, kStart);
  EXPECT_FALSE(budget.begin(50'001, 0.05, kStart));
  EXPECT_TRUE(budget.begin(49'998, 0.05, kStart));
  EXPECT_FALSE(budget.begin(10, 0.05, kStart)) << "one under way counts";
  budget.over(49'998);
  EXPECT_TRUE(budget.begin(49'998, 0.05, kStart)) << "it cost nothing after all";
}

TEST(HedgeBudget, CountsWhatWasSpentForNothing) {
  HedgeBudget budget;
  budget.spent(1'000'000, 40'000, true, kStart);
  EXPECT_FALSE(budget.begin(10'001, 0.05, kStart));
  EXPECT_TRUE(budget.begin(9'000, 0.05, kStart));
}

TEST(HedgeBudget, ForgetsByHalvesOfFiveMinutes) {
  HedgeBudget budget;
  budget.spent(1'000'000, 100'000, true, kStart);
  EXPECT_FALSE(budget.begin(1'000, 0.05, kStart)) << "10 % are spent";
  const TimePoint later = kStart + seconds(1'500);  // Five half-lives.
  budget.spent(1'000'000, 0, false, later);
  EXPECT_TRUE(budget.begin(45'000, 0.05, later));
  EXPECT_FALSE(budget.begin(10'000, 0.05, later));
}

TEST(HedgeBudget, CountsRequestsWhereNothingCostsAnything) {
  HedgeBudget budget;
  int granted = 0;
  for (int i = 0; i < 1'000; ++i) {
    const bool hedged = budget.begin(0, 0.05, kStart);
    if (hedged) budget.over(0);
    budget.spent(0, 0, hedged, kStart);
    granted += hedged ? 1 : 0;
  }
  EXPECT_NEAR(granted, 50, 1);
}

}  // namespace
}  // namespace spillway::policy
