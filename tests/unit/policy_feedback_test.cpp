// How a class's headroom follows the promises that were kept, and the price of one what was spent.
#include "gateway/policy/feedback.h"

#include <gtest/gtest.h>

namespace spillway::policy {
namespace {

using std::chrono::seconds;

constexpr config::NanoUsd kUsd = 1'000'000'000;

config::RequestClass steered(config::Feedback terms = {}) {
  terms.enabled = true;
  config::RequestClass one;
  one.name = "chat";
  one.ttft_headroom = 0.95;
  one.feedback = terms;
  return one;
}

class FeedbackTest : public testing::Test {
 protected:
  // `count` answers of the engine, predicted at that share of the headroom.
  void local(int count, bool kept, double share_of_headroom = 0.95) {
    for (int i = 0; i < count; ++i)
      feedback_.settle({.local = true,
                        .kept = kept,
                        .predicted_share = share_of_headroom * feedback_.headroom()},
                       now_);
  }

  void elsewhere(int count, bool kept, config::NanoUsd cost = 0, bool was_expected = true) {
    for (int i = 0; i < count; ++i)
      feedback_.settle({.kept = kept, .was_expected = was_expected, .cost = cost}, now_);
  }

  double headroom() const { return feedback_.headroom(); }
  double price() const { return feedback_.promise_price(now_); }

  TimePoint now_{seconds(1'000)};
  Feedback feedback_{steered()};
};

TEST_F(FeedbackTest, BeginsWithTheClassesOwn) { EXPECT_EQ(headroom(), 0.95); }

TEST_F(FeedbackTest, IsNotWornDownByProvidersThatAreNeverLate) {
  elsewhere(1'000, true);
  for (int i = 0; i < 20; ++i) {
    local(1, false);
    local(99, true);
  }
  EXPECT_GE(headroom(), 0.93) << "one in a hundred may be late";
}

TEST_F(FeedbackTest, FallsForWhatIsLateAndStopsAtItsBound) {
  local(1, false);
  EXPECT_LT(headroom(), 0.95);
  EXPECT_GT(headroom(), 0.93);
  local(100, false);
  EXPECT_EQ(headroom(), 0.8);
}

TEST_F(FeedbackTest, RisesSlowlyWhileNobodyIsLate) {
  local(100, true);
  EXPECT_NEAR(headroom(), 0.97, 1e-6) << "two in a hundred may be";
  local(1'000, true);
  EXPECT_EQ(headroom(), 1.0);
}

TEST_F(FeedbackTest, LearnsNothingFromWhatWasFarFromTheLimitOrBeyondIt) {
  local(10, false, 0.89);
  local(10, false, 1.01);
  elsewhere(10, false);
  EXPECT_EQ(headroom(), 0.95);
}

TEST_F(FeedbackTest, MayBeLateAsOftenAsProvidersAre) {
  elsewhere(100, false, 0, false);  // Nobody expected it of these.
  local(1, true);
  EXPECT_NEAR(headroom(), 0.9502, 1e-6);
  elsewhere(100, false);  // 101 in 150, with the answers that are imagined.
  local(2, true);
  const double risen = headroom();
  EXPECT_NEAR(risen, 0.9502 + 2 * 0.01 * 101 / 150, 1e-6);
  local(1, false);
  EXPECT_NEAR(headroom(), risen - 0.01 * 49 / 150, 1e-6);
  now_ += seconds(300 * 20);  // And forgotten.
  const double before = headroom();
  local(5, false);
  EXPECT_NEAR(headroom(), before - 5 * 0.01 * 49 / 50, 1e-6);
}

TEST_F(FeedbackTest, ThePriceFallsByWhatIsSpentAndRisesByWhatIsGranted) {
  feedback_ = Feedback(steered({.spend_per_hour_max = 30 * kUsd}));
  EXPECT_EQ(price(), 1.0);
  elsewhere(5, true, kUsd);  // Ten minutes' worth had been put by.
  EXPECT_EQ(price(), 1.0);
  elsewhere(1, true, kUsd);  // Two minutes' worth.
  EXPECT_NEAR(price(), 0.368, 1e-3);
  now_ += seconds(60);
  EXPECT_NEAR(price(), 0.607, 1e-3);
  feedback_.settle({.cost = kUsd / 2}, now_);  // Who says nothing of promises is paid all the same.
  EXPECT_NEAR(price(), 0.368, 1e-3);
  now_ += seconds(121);
  EXPECT_EQ(price(), 1.0);
  elsewhere(1'000, true, kUsd);
  now_ += seconds(24 * 60);
  EXPECT_NEAR(price(), 1.0, 1e-9) << "what is long past is forgiven";
}

TEST_F(FeedbackTest, NothingIsCutWhileTooLittleIsKept) {
  feedback_ = Feedback(steered({.spend_per_hour_max = 30 * kUsd, .attainment_min = 0.9}));
  elsewhere(1, true, 6 * kUsd);
  EXPECT_NEAR(price(), 0.368, 1e-3);
  now_ += seconds(60);
  elsewhere(100, false);
  elsewhere(10, false, kUsd);
  EXPECT_NEAR(price(), 0.607, 1e-3) << "what was spent before is made good";
}

TEST_F(FeedbackTest, WithoutALimitThePriceStays) {
  elsewhere(1, true, 1'000 * kUsd);
  EXPECT_EQ(price(), 1.0);
}

}  // namespace
}  // namespace spillway::policy
