// What is learnt from what happens: quantiles that forget, a provider's pace, the correction, the
// answers' length.
#include "gateway/policy/correction.h"
#include "gateway/policy/length.h"
#include "gateway/policy/quantiles.h"
#include "gateway/policy/tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace spillway::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};

TEST(Quantiles, AreWithinTwoPercentOfTheExactOnes) {
  std::mt19937 random(11);
  std::lognormal_distribution<double> law(-0.7, 0.6);
  Quantiles quantiles;
  std::vector<double> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(law(random));
    quantiles.add(all.back(), kStart);
  }
  std::sort(all.begin(), all.end());
  for (double q : {0.05, 0.5, 0.95, 0.99}) {
    const double exact = all[static_cast<std::size_t>(q * 20'000)];
    EXPECT_NEAR(quantiles.quantile(q) / exact, 1.0, 0.021) << q;
  }
}

TEST(Quantiles, ForgetHalfEveryHalfLife) {
  Quantiles quantiles(seconds(60));
  for (int i = 0; i < 100; ++i) quantiles.add(1.0, kStart);
  for (int i = 0; i < 30; ++i) quantiles.add(10.0, kStart + seconds(120));
  // 25 of the old weight is left beside 30 new.
  EXPECT_NEAR(quantiles.quantile(0.44), 1.0, 0.03);
  EXPECT_NEAR(quantiles.quantile(0.47), 10.0, 0.3);
}

TEST(Quantiles, SurviveDaysOfTime) {
  Quantiles quantiles(seconds(60));
  for (int hour = 0; hour < 100; ++hour) {
    quantiles.add(hour < 99 ? 1.0 : 5.0, kStart + hour * std::chrono::hours(1));
  }
  EXPECT_NEAR(quantiles.quantile(0.5), 5.0, 0.15);
}

TEST(Quantiles, TakeWhatIsOutOfRangeAsTheNearestEnd) {
  Quantiles quantiles;
  EXPECT_EQ(quantiles.quantile(0.5), 0.0);
  quantiles.add(0.0, kStart);
  EXPECT_NEAR(quantiles.quantile(0.5), 1e-4, 1e-5);
  quantiles.add(1e9, kStart);
  EXPECT_NEAR(quantiles.quantile(1.0), 1'000.0, 30.0);
}

TEST(Tracker, StartsAtTheCatalogueAndFollowsWhatIsMeasured) {
  Tracker tracker({.ttft_p50 = milliseconds(500), .ttft_p99 = milliseconds(1'500)}, kStart);
  EXPECT_DOUBLE_EQ(tracker.ttft_p50(kStart), 0.5);
  EXPECT_DOUBLE_EQ(tracker.ttft_p99(kStart), 1.5);
  EXPECT_NEAR(tracker.ttft_p90(kStart), 0.5 * std::exp(1.2816 * std::log(3.0) / 2.3263), 1e-9);
  tracker.first_token(0.5, kStart);
  EXPECT_NEAR(tracker.ttft_p50(kStart), 0.5, 0.02);
  EXPECT_NEAR(tracker.ttft_p90(kStart), 0.92, 0.1) << "one answer does not outweigh the catalogue";
  for (int i = 0; i < 400; ++i) tracker.first_token(3.2, kStart + seconds(i));
  EXPECT_NEAR(tracker.ttft_p50(kStart + seconds(399)), 3.2, 0.1);
}

TEST(Tracker, FallsBackToTheCatalogueWithoutNewsAndRemembersAtTheNext) {
  Tracker tracker({.ttft_p50 = milliseconds(500), .ttft_p99 = milliseconds(1'500)}, kStart);
  for (int i = 0; i < 400; ++i) tracker.first_token(3.2, kStart);
  EXPECT_NEAR(tracker.ttft_p50(kStart + seconds(60)), (3.2 + 0.5) / 2.0, 0.1);
  EXPECT_NEAR(tracker.ttft_p99(kStart + seconds(1'200)), 1.5, 0.01);
  tracker.first_token(3.2, kStart + seconds(300));
  EXPECT_NEAR(tracker.ttft_p50(kStart + seconds(300)), 3.2, 0.1);
}

TEST(Tracker, ShortStreamsTellNothingOfTheRate) {
  Tracker tracker({.tokens_per_second = 100.0}, kStart);
  tracker.streamed(7, 70.0);
  EXPECT_DOUBLE_EQ(tracker.tokens_per_second(), 100.0);
  tracker.streamed(8, 0.16);
  EXPECT_DOUBLE_EQ(tracker.tokens_per_second(), 95.0);
}

TEST(Correction, SettlesAtTheRatioOfObservedToPredicted) {
  Correction correction;
  EXPECT_DOUBLE_EQ(correction.factor(kStart), 1.0);
  for (int i = 0; i < 80; ++i) correction.observe(1.0, 1.0, 2.0, kStart);
  EXPECT_NEAR(correction.factor(kStart), 2.0, 0.02);
  EXPECT_NEAR(correction.relative_error(0.5), 0.5, 0.02);
}

TEST(Correction, LearnsFromTheModelAndNotFromItself) {
  // Once the factor is in the prediction it must not be learnt a second time.
  Correction correction;
  for (int i = 0; i < 60; ++i) {
    correction.observe(1.0 * correction.factor(kStart), 1.0, 2.0, kStart);
  }
  EXPECT_NEAR(correction.factor(kStart), 2.0, 0.02);
}

TEST(Correction, FallsBackToOneWithoutNews) {
  Correction correction;
  for (int i = 0; i < 40; ++i) correction.observe(1.0, 1.0, 4.0, kStart);
  const double before = correction.factor(kStart);
  EXPECT_NEAR(correction.factor(kStart + seconds(30)), std::sqrt(before), 1e-9);
  EXPECT_NEAR(correction.factor(kStart + seconds(600)), 1.0, 1e-5);
}

TEST(Correction, GoesOnFromWhereItHasFallenTo) {
  Correction correction;
  for (int i = 0; i < 40; ++i) correction.observe(1.0, 1.0, 4.0, kStart);
  correction.observe(1.0, 1.0, 1.0, kStart + seconds(600));
  EXPECT_NEAR(correction.factor(kStart + seconds(600)), 1.0, 0.01);
}

TEST(Correction, AFewMillisecondsAreNotASlowEngine) {
  Correction correction;
  for (int i = 0; i < 40; ++i) correction.observe(0.002, 0.002, 0.006, kStart);
  EXPECT_LT(correction.factor(kStart), 1.4);
}

TEST(Correction, OneOddAnswerIsClipped) {
  Correction correction;
  for (int i = 0; i < 40; ++i) correction.observe(1.0, 1.0, 1.0, kStart);
  correction.observe(1.0, 1.0, 1e6, kStart);
  EXPECT_NEAR(correction.factor(kStart), std::pow(8.0, 1.0 / 14.0), 0.01);
}

TEST(Correction, ItsBoundIsKeptByNineteenOfTwentyWhateverTheLaw) {
  Correction correction;
  std::mt19937 random(11);
  std::lognormal_distribution<double> calm(0.0, 0.05), rough(0.1, 0.4);
  int kept = 0;
  constexpr int kAnswers = 4'000;
  for (int i = 0; i < kAnswers; ++i) {
    const double ratio = i < kAnswers / 2 ? calm(random) : rough(random);
    const bool within = ratio <= correction.bound();
    kept += within ? 1 : 0;
    correction.judge_bound(within);
  }
  EXPECT_NEAR(100.0 * kept / kAnswers, 95.0, 1.0);
  EXPECT_GT(correction.bound(), 1.5) << "wide by now";
}

TEST(AnswerLength, IsTheMeanThatForgets) {
  AnswerLength length;
  EXPECT_EQ(length.typical(), 0.0);
  length.observe({0, 10}, 100);
  length.observe({0, 10}, 50);
  EXPECT_DOUBLE_EQ(length.typical(), 75.0);
  for (int i = 0; i < 400; ++i) length.observe({0, 10}, 20);
  EXPECT_NEAR(length.typical(), 20.0, 0.1);
}

TEST(AnswerLength, IsExpectedByClassAndSizeOnceEnoughWasSeen) {
  AnswerLength length;
  for (int i = 0; i < 4; ++i) length.observe({1, 1'000}, 300);
  length.observe({0, 1'000}, 10);
  EXPECT_NEAR(length.expected({1, 1'000}), 242.0, 0.1) << "four are too few: the mean of all";
  length.observe({1, 600}, 300);
  EXPECT_NEAR(length.expected({1, 1'000}), 300.0, 0.1) << "512 to 1,023 are of a size";
  EXPECT_LT(length.expected({1, 1'024}), 290.0);
  EXPECT_LT(length.expected({0, 1'000}), 290.0);
  EXPECT_GT(length.expected({77, 1 << 30}), 0.0) << "what is beyond the table has its last places";
}

TEST(AnswerLength, IsThatOfWhoAsksWhichModelOnceEnoughWasSeen) {
  AnswerLength length;
  for (int i = 0; i < 8; ++i) length.observe({0, 300, "a", "large"}, 8'000);
  for (int i = 0; i < 4; ++i) length.observe({0, 300, "b", "auto"}, 20);
  EXPECT_GT(length.expected({0, 300, "b", "auto"}), 1'000.0) << "four are too few";
  length.observe({0, 300, "b", "auto"}, 20);
  EXPECT_NEAR(length.expected({0, 300, "b", "auto"}), 20.0, 0.1);
  EXPECT_NEAR(length.expected({0, 300, "a", "large"}), 8'000.0, 1.0);
  EXPECT_GT(length.expected({0, 300, "b", "large"}), 1'000.0) << "as all of its class and size";
  const AnswerLength before = length;
  for (int i = 0; i < 10'000; ++i) length.observe({0, 300, std::to_string(i), "auto"}, 5);
  EXPECT_NEAR(length.expected({0, 300, "b", "auto"}), 5.0, 0.1) << "forgotten, for newer ones";
  EXPECT_NEAR(before.expected({0, 300, "b", "auto"}), 20.0, 0.1);
}

double median(const AnswerLength& length, int generated) {
  return length.remaining().tokens(generated, std::log(2.0));
}

TEST(Remaining, FollowsAKnownLaw) {
  AnswerLength length;
  std::mt19937 random(3);
  std::exponential_distribution<double> law(1.0 / 200.0);
  for (int i = 0; i < 2'000; ++i) length.observe({0, 50}, 1 + static_cast<int>(law(random)));
  for (const int generated : {1, 10, 100, 300}) {
    EXPECT_NEAR(median(length, generated), 200.0 * std::log(2.0), 35.0)
        << "an exponential law has no memory, after " << generated;
  }
}

TEST(Remaining, AnAnswerThatItsLimitCutWasNotShorterAndThatIsAll) {
  AnswerLength whole, cut;
  for (int i = 0; i < 50; ++i) {
    whole.observe({0, 50}, 48);
    cut.observe({0, 50}, 48, true);
  }
  EXPECT_LT(median(whole, 1), 64.0);
  EXPECT_GT(median(cut, 1), 64.0);
  EXPECT_GT(cut.remaining().tokens(1, 0.05), 46.0) << "hardly one in twenty ends before";
}

TEST(Remaining, ExpectsAChatsAnswersBeforeTheFirstAndLongerOnesTheLongerOneHasBeen) {
  const AnswerLength length;
  EXPECT_NEAR(median(length, 1), 160.0, 40.0);
  EXPECT_GT(median(length, 2'000), median(length, 200));
  EXPECT_TRUE(std::isinf(Remaining().tokens(1, 0.5))) << "nothing known at all";
}

}  // namespace
}  // namespace spillway::policy
