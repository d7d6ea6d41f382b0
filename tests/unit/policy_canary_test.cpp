// When a canary is worse than what it stands beside, and when that is only chance or too early.
#include "gateway/policy/canary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace spillway::policy {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

void end(CanaryJudge& judge, Side side, Outcome outcome, int times) {
  for (int i = 0; i < times; ++i) judge.ended(side, outcome);
}

// A hundred of the stable side kept their promises.
CanaryJudge judge_of(const config::Canary& terms = {}) {
  CanaryJudge judge(terms);
  end(judge, Side::stable, Outcome::attained, 100);
  return judge;
}

TEST(Canary, IsNotJudgedBeforeEnoughHaveEnded) {
  CanaryJudge judge = judge_of();
  end(judge, Side::canary, Outcome::missed, 99);
  EXPECT_FALSE(judge.has_seen_enough());
  EXPECT_THAT(judge.burning(), IsEmpty());
  judge.ended(Side::canary, Outcome::missed);
  EXPECT_TRUE(judge.has_seen_enough());
  EXPECT_EQ(judge.burning(), "promises kept: 0.0 % of 100, beside 100.0 % of 100");
}

TEST(Canary, NeedsAsManyOfTheOthers) {
  CanaryJudge judge({});
  end(judge, Side::stable, Outcome::attained, 99);
  end(judge, Side::canary, Outcome::missed, 200);
  EXPECT_THAT(judge.burning(), IsEmpty());
}

TEST(Canary, MayLoseItsShare) {
  CanaryJudge judge = judge_of({.attainment_loss_max = 0.2});
  end(judge, Side::canary, Outcome::attained, 80);
  end(judge, Side::canary, Outcome::missed, 20);
  EXPECT_THAT(judge.burning(), IsEmpty());
  judge.ended(Side::canary, Outcome::missed);
  EXPECT_THAT(judge.burning(), HasSubstr("79.2 % of 101"));
}

TEST(Canary, IsNotRolledBackByChance) {
  CanaryJudge judge = judge_of({.attainment_loss_max = 0.0});
  end(judge, Side::canary, Outcome::attained, 95);
  end(judge, Side::canary, Outcome::missed, 5);
  EXPECT_THAT(judge.burning(), IsEmpty()) << "5 of 100 beside 0 of 100 is within three errors";
  end(judge, Side::canary, Outcome::missed, 6);
  EXPECT_THAT(judge.burning(), HasSubstr("promises kept"));
}

TEST(Canary, BurnsByErrorsWhereNothingIsPromised) {
  CanaryJudge judge({.error_rise_max = 0.1});
  end(judge, Side::stable, Outcome::unpromised, 100);
  end(judge, Side::canary, Outcome::unpromised, 100);
  EXPECT_THAT(judge.burning(), IsEmpty());
  end(judge, Side::canary, Outcome::failed, 20);
  EXPECT_THAT(judge.burning(), HasSubstr("failed: 16.7 % of 120, beside 0.0 % of 100"));
}

TEST(Canary, MayBeTheBetterOne) {
  CanaryJudge judge({});
  end(judge, Side::stable, Outcome::failed, 500);
  end(judge, Side::canary, Outcome::attained, 500);
  EXPECT_THAT(judge.burning(), IsEmpty());
}

TEST(Canary, IsJudgedByTheLastThousand) {
  CanaryJudge judge({});
  end(judge, Side::stable, Outcome::attained, 10'000);
  end(judge, Side::canary, Outcome::attained, 10'000);
  end(judge, Side::canary, Outcome::missed, 50);
  EXPECT_THAT(judge.burning(), IsEmpty());
  judge.ended(Side::canary, Outcome::missed);
  EXPECT_THAT(judge.burning(), HasSubstr("94.9 % of 1000"));
  EXPECT_EQ(judge.ended(Side::canary)[0], 10'000u);
  EXPECT_EQ(judge.ended(Side::canary)[1], 51u);
}

TEST(Canary, PlacesOfNamesAreStableAndEvenlySpread) {
  EXPECT_DOUBLE_EQ(place_of("tenant/key"), 0.022180411980212478) << "as in every release";
  EXPECT_NE(place_of("tenant/key1"), place_of("tenant/key2"));
  int below = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double place = place_of("team-" + std::to_string(i));
    ASSERT_GE(place, 0.0);
    ASSERT_LT(place, 1.0);
    below += place < 0.1 ? 1 : 0;
  }
  EXPECT_NEAR(below, 1'000, 100);
}

}  // namespace
}  // namespace spillway::policy
