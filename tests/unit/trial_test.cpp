// What the requests of both sides say of a canary, once.
#include "gateway/reload/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace spillway {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::shared_ptr<const Edition> edition() {
  auto settings = std::make_shared<config::Settings>();
  settings->sha256 = "abc";
  return std::make_shared<const Edition>(settings, Providers{});
}

// A request of that canary (0: of the other side) whose first token was promised within a second.
Receipt receipt_of(std::uint64_t canary, milliseconds first_token) {
  Receipt receipt;
  receipt.key_name = "team";
  receipt.canary = canary;
  receipt.sla_ttft = 1.0;
  receipt.arrived = TimePoint{} + std::chrono::hours(1);
  receipt.first_token = receipt.arrived + first_token;
  receipt.ended = receipt.arrived + first_token;
  return receipt;
}

Receipt in_time(std::uint64_t canary) { return receipt_of(canary, milliseconds(900)); }
Receipt late(std::uint64_t canary) { return receipt_of(canary, milliseconds(1'100)); }

class TrialTest : public testing::Test {
 protected:
  std::optional<Trial::Ruling> end(const Receipt& receipt, int times) {
    std::optional<Trial::Ruling> last;
    for (int i = 0; i < times; ++i) {
      if (auto ruling = trial_.ended(receipt)) last = ruling;
    }
    return last;
  }

  Trial trial_;
};

TEST_F(TrialTest, CountsOnlyWhileItRuns) {
  EXPECT_FALSE(end(late(1), 50));
  EXPECT_FALSE(trial_.state().runs);
  trial_.begin(1, edition(), {.share = 0.1, .requests_min = 10});
  EXPECT_TRUE(trial_.state().runs);
  EXPECT_EQ(trial_.state().sides.canary.missed, 0u);
}

TEST_F(TrialTest, RulesOnceThatItShouldBeRolledBack) {
  trial_.begin(1, edition(), {.share = 0.1, .requests_min = 10});
  EXPECT_FALSE(end(in_time(0), 10));
  EXPECT_FALSE(end(late(1), 9));
  const auto ruling = trial_.ended(late(1));
  ASSERT_TRUE(ruling);
  EXPECT_EQ(ruling->number, 1u);
  EXPECT_EQ(ruling->end, CanaryEnd::rolled_back);
  EXPECT_THAT(ruling->why, HasSubstr("promises kept: 0.0 % of 10, beside 100.0 % of 10"));
  EXPECT_FALSE(end(late(1), 10));
  trial_.end(ruling->end, ruling->why);
  EXPECT_EQ(trial_.state().end, CanaryEnd::rolled_back);
  EXPECT_EQ(trial_.state().ends[1], 1u);
  EXPECT_EQ(trial_.edition(), nullptr);
}

TEST_F(TrialTest, FailuresOfOursCountAndClientsMistakesDoNot) {
  trial_.begin(1, edition(), {.share = 0.1, .requests_min = 10, .attainment_loss_max = 1.0});
  end(in_time(0), 100);
  Receipt wrong = in_time(1);
  wrong.error = Error{Errc::invalid_request, "", "", {}};
  EXPECT_FALSE(end(wrong, 20));
  Receipt failed = in_time(1);
  failed.error = Error{Errc::backend_unavailable, "", "", {}};
  const auto ruling = end(failed, 20);
  ASSERT_TRUE(ruling);
  EXPECT_THAT(ruling->why, HasSubstr("failed"));
}

TEST_F(TrialTest, WhatTheCanaryAloneRefusesIsItsFailure) {
  trial_.begin(1, edition(), {.share = 0.1, .requests_min = 10, .attainment_loss_max = 1.0});
  end(in_time(0), 100);
  Receipt refused = in_time(1);
  refused.error = Error{Errc::forbidden, "Closed.", "", {}};
  EXPECT_FALSE(end(refused, 20)) << "the policy in force does, too";
  refused.canary_refuses = true;
  const auto ruling = end(refused, 20);
  ASSERT_TRUE(ruling);
  EXPECT_EQ(ruling->end, CanaryEnd::rolled_back);
}

TEST_F(TrialTest, IsPromotedAfterItsTime) {
  trial_.begin(1, edition(), {.share = 0.1, .requests_min = 2, .promote_after = milliseconds(1)});
  end(in_time(0), 5);
  EXPECT_FALSE(trial_.ended(in_time(1))) << "too few";
  std::optional<Trial::Ruling> ruling;
  for (int i = 0; i < 2'000'000 && !ruling; ++i) ruling = trial_.ended(in_time(1));
  ASSERT_TRUE(ruling);
  EXPECT_EQ(ruling->end, CanaryEnd::promoted);
}

TEST_F(TrialTest, StrangersAndRequestsOfEarlierCanariesAreOnNeitherSide) {
  trial_.begin(2, edition(), {.share = 0.1, .requests_min = 10});
  end(in_time(0), 10);
  Receipt stranger = late(0);
  stranger.key_name.clear();
  end(stranger, 100);
  EXPECT_FALSE(end(late(1), 100));
  EXPECT_EQ(trial_.state().sides.stable.attained, 10u);
  EXPECT_EQ(trial_.state().sides.stable.missed, 0u);
  EXPECT_EQ(trial_.state().sides.canary.missed, 0u);
  trial_.begin(3, edition(), {.share = 0.1, .requests_min = 10});
  EXPECT_EQ(trial_.state().sides.stable.attained, 0u);
  EXPECT_EQ(trial_.state().of_all.stable.attained, 10u);
}

}  // namespace
}  // namespace spillway
