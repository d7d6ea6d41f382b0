// What the guard has against a policy, at each of its limits and one past it.
#include "gateway/reload/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr config::NanoUsd kCent = 10'000'000;

// A hundred decisions that cost a dollar and are in time, under either policy.
Rehearsed unchanged() {
  Rehearsed sum;
  sum.decisions = sum.sent = sum.in_time_before = sum.in_time_after = 100;
  sum.cost_before = sum.cost_after = sum.cost_cheapest = 100 * kCent;
  return sum;
}

std::string against(const Rehearsed& rehearsed, const config::Guard& guard = {}) {
  return objections(rehearsed, guard);
}

TEST(Guard, HasNothingAgainstWhatChangesNothing) {
  EXPECT_THAT(against(unchanged()), IsEmpty());
  EXPECT_THAT(against(Rehearsed{}), IsEmpty());
}

TEST(Guard, NamesOneThatIsStranded) {
  Rehearsed rehearsed = unchanged();
  rehearsed.stranded = 1;
  rehearsed.example = "model `auto`, class `batch`: Closed. (rule `night`, line 44)";
  EXPECT_THAT(against(rehearsed),
              AllOf(HasSubstr("1 of the last 100 decisions went somewhere and could go nowhere"),
                    HasSubstr("guard.stranded_max: 0"), HasSubstr("(rule `night`, line 44)")));
  EXPECT_THAT(against(rehearsed, {.stranded_max = 0.01}), IsEmpty());
  rehearsed.stranded = 2;
  EXPECT_THAT(against(rehearsed, {.stranded_max = 0.01}), HasSubstr("2 of the last 100"));
}

TEST(Guard, StrandedOnesCountHoweverFewWereDecided) {
  Rehearsed rehearsed;
  rehearsed.decisions = rehearsed.stranded = 1;
  EXPECT_THAT(against(rehearsed), HasSubstr("1 of the last 1"));
}

TEST(Guard, LetsSpendGrowByItsShare) {
  Rehearsed rehearsed = unchanged();
  rehearsed.cost_after = 150 * kCent;
  EXPECT_THAT(against(rehearsed), IsEmpty());
  rehearsed.cost_after += kCent;
  EXPECT_THAT(against(rehearsed),
              AllOf(HasSubstr("would cost 1.510000usd, and cost 1.000000usd now"),
                    HasSubstr("guard.spend_growth_max: 0.5")));
}

TEST(Guard, FromNothingToNextToNothingIsNoGrowth) {
  Rehearsed rehearsed = unchanged();
  rehearsed.cost_before = 0;
  rehearsed.cost_after = 15 * kCent;
  EXPECT_THAT(against(rehearsed), IsEmpty());
  rehearsed.cost_after += kCent;
  EXPECT_THAT(against(rehearsed), HasSubstr("guard.spend_growth_max"));
}

TEST(Guard, LetsSomeBeLate) {
  Rehearsed rehearsed = unchanged();
  rehearsed.in_time_after = 95;
  EXPECT_THAT(against(rehearsed), IsEmpty());
  rehearsed.in_time_after = 94;
  EXPECT_THAT(against(rehearsed),
              AllOf(HasSubstr("94.0 % of the last 100 decisions would be in time, and 100.0 % are"),
                    HasSubstr("guard.attainment_loss_max: 0.05")));
}

TEST(Guard, ConcludesNothingFromAFew) {
  Rehearsed rehearsed = unchanged();
  rehearsed.cost_after = 1'000 * kCent;
  rehearsed.in_time_after = 0;
  EXPECT_THAT(against(rehearsed, {.decisions_min = 101}), IsEmpty());
  EXPECT_THAT(against(rehearsed, {.decisions_min = 100}),
              AllOf(HasSubstr("spend_growth_max"), HasSubstr("; "), HasSubstr("attainment")));
}

}  // namespace
}  // namespace spillway
