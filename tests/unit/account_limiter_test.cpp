// Rates and places: exactly as many as allowed, exactly as late as told.
#include "gateway/account/limiter.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

namespace spillway::account {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart{std::chrono::hours(1)};

TEST(Gcra, AMinutesWorthAtOnceAndThenEvenly) {
  policy::Bucket bucket;
  for (int i = 0; i < 6; ++i) {
    const auto answer = bucket.take(6, 1, kStart);
    EXPECT_TRUE(answer.taken);
    EXPECT_EQ(answer.remaining, 5 - i);
    EXPECT_EQ(answer.reset, (i + 1) * 10s);
  }
  const auto refused = bucket.take(6, 1, kStart);
  EXPECT_FALSE(refused.taken);
  EXPECT_EQ(refused.retry_after, 10s);
  EXPECT_FALSE(bucket.take(6, 1, kStart + 10s - 1ns).taken);
  EXPECT_TRUE(bucket.take(6, 1, kStart + 10s).taken);
  EXPECT_FALSE(bucket.take(6, 1, kStart + 10s).taken);
}

TEST(Gcra, TheToldTimeIsExact) {
  for (const std::int64_t rate : {1, 7, 60, 999, 100'000, 2'000'000'000}) {
    policy::Bucket bucket;
    EXPECT_TRUE(bucket.take(rate, rate, kStart).taken) << rate;
    const auto refused = bucket.take(rate, 1, kStart);
    ASSERT_FALSE(refused.taken) << rate;
    EXPECT_FALSE(bucket.take(rate, 1, kStart + refused.retry_after - 1ns).taken) << rate;
    EXPECT_TRUE(bucket.take(rate, 1, kStart + refused.retry_after).taken) << rate;
  }
}

TEST(Gcra, MoreThanAMinutesWorthNeedsAllOfIt) {
  policy::Bucket bucket;
  EXPECT_TRUE(bucket.take(100, 1'000, kStart).taken);
  EXPECT_EQ(bucket.take(100, 1'000, kStart).retry_after, 60s);
}

TEST(Gcra, ACorrectionCountsBothWays) {
  policy::Bucket bucket;
  EXPECT_TRUE(bucket.take(60, 30, kStart).taken);
  bucket.correct(60, -20);
  EXPECT_EQ(bucket.take(60, 0, kStart).remaining, 50);
  bucket.correct(60, 60);
  EXPECT_EQ(bucket.take(60, 1, kStart).retry_after, 11s);
}

class LimiterTest : public ::testing::Test {
 protected:
  Result<Pass> enter(std::int64_t tokens = 0, TimePoint now = kStart,
                     Pool pool = Pool::waited_for) {
    standing_ = {};
    return limiter_.enter(pool, {{{"demo", &key_}, {"acme", &tenant_}, {"auto", &model_}}}, tokens,
                          now, standing_);
  }

  config::Limits key_, tenant_, model_;
  Standing standing_;
  Limiter limiter_;
};

TEST_F(LimiterTest, BatchesAreCountedApart) {
  key_.requests_per_minute = 2;
  tenant_.concurrency = 2;
  const auto first = enter(0, kStart, Pool::batches), second = enter(0, kStart, Pool::batches);
  EXPECT_FALSE(enter(0, kStart, Pool::batches));
  const auto third = enter(), fourth = enter();
  EXPECT_TRUE(third && fourth);
  EXPECT_FALSE(enter());
}

TEST_F(LimiterTest, NoLimitsSayNothing) {
  EXPECT_TRUE(enter(1'000'000));
  EXPECT_FALSE(standing_.requests);
  EXPECT_FALSE(standing_.tokens);
}

TEST_F(LimiterTest, TheNarrowestIsTold) {
  key_.requests_per_minute = 100;
  tenant_.requests_per_minute = 2;
  model_.tokens_per_minute = 1'000;
  EXPECT_TRUE(enter(400));
  ASSERT_TRUE(standing_.requests && standing_.tokens);
  EXPECT_EQ(standing_.requests->limit, 2);
  EXPECT_EQ(standing_.requests->remaining, 1);
  EXPECT_EQ(standing_.tokens->remaining, 600);
  EXPECT_TRUE(enter());
  const auto refused = enter();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::rate_limited);
  EXPECT_EQ(*refused.error().retry_after, 30s);
  EXPECT_NE(refused.error().message.find("tenant 'acme'"), std::string::npos);
}

// Not the one that is fullest: the one that ends first.
TEST_F(LimiterTest, WhatRemainsIsWhatIsEnforced) {
  tenant_.requests_per_minute = 20;
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(enter());
  key_.requests_per_minute = 4;
  EXPECT_TRUE(enter());
  EXPECT_EQ(standing_.requests->remaining, 3);
}

TEST_F(LimiterTest, WhatIsRefusedCountsNowhere) {
  key_.requests_per_minute = 100;
  tenant_.requests_per_minute = 1;
  EXPECT_TRUE(enter());
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(enter());
  tenant_.requests_per_minute = 0;
  EXPECT_TRUE(enter());
  EXPECT_EQ(standing_.requests->remaining, 98);
}

TEST_F(LimiterTest, WhatIsRefusedForItsTokensIsNoRequestEither) {
  key_.requests_per_minute = 3;
  tenant_.tokens_per_minute = 100;
  EXPECT_TRUE(enter(100));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(enter(50));
  EXPECT_TRUE(enter(0));
  EXPECT_TRUE(enter(0));
}

TEST_F(LimiterTest, TokensAreCorrectedWhenTheyAreKnown) {
  key_.tokens_per_minute = 1'000;
  {
    auto pass = enter(900);
    ASSERT_TRUE(pass);
    pass->used(100, kStart);
  }
  EXPECT_TRUE(enter(900));
  EXPECT_FALSE(enter(1));
}

// Half of what it took has come back by itself, and somebody may have it already.
TEST_F(LimiterTest, WhatHasComeBackIsNotGivenBackOnceMore) {
  key_.tokens_per_minute = 6'000;
  auto slow = enter(2'900);
  ASSERT_TRUE(slow);
  const TimePoint later = kStart + 29'600ms;
  EXPECT_TRUE(enter(5'900, later));
  slow->used(11, later + 1s);
  EXPECT_FALSE(enter(2'900, later + 1s));
  EXPECT_TRUE(enter(200, later + 1s));
}

// Who asks all the time for more than it uses is not charged what it asked for.
TEST_F(LimiterTest, ABusyKeyPaysForWhatItUses) {
  key_.tokens_per_minute = 6'000;
  auto held = enter(3'000);
  for (int second = 0; second < 60; ++second) {
    auto next = enter(3'000, kStart + std::chrono::seconds(second));
    ASSERT_TRUE(next) << second;
    held->used(50, kStart + std::chrono::seconds(second));
    held = std::move(next);
  }
}

TEST_F(LimiterTest, WhatHasNotComeBackYetIs) {
  key_.tokens_per_minute = 6'000;
  auto quick = enter(6'000);
  ASSERT_TRUE(quick);
  quick->used(11, kStart + 2s);
  EXPECT_TRUE(enter(6'000, kStart + 2s));
}

TEST_F(LimiterTest, MoreThanAMinutesWorthIsCorrectedFromWhatWasTaken) {
  key_.tokens_per_minute = 1'000;
  {
    auto pass = enter(5'000);
    ASSERT_TRUE(pass);
    pass->used(600, kStart);
  }
  EXPECT_FALSE(enter(401));
  EXPECT_TRUE(enter(400));
}

TEST_F(LimiterTest, NoNumberIsSoLargeThatItGivesBack) {
  key_.tokens_per_minute = 1'000;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  {
    auto pass = enter(2 * kMost);
    ASSERT_TRUE(pass);
    EXPECT_EQ(standing_.tokens->remaining, 0);
    pass->used(900, kStart);
  }
  EXPECT_FALSE(enter(101));
  EXPECT_TRUE(enter(100));
}

TEST_F(LimiterTest, PlacesComeBack) {
  key_.concurrency = 2;
  {
    auto first = enter();
    auto second = enter();
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(enter());
  }
  EXPECT_TRUE(enter());
  EXPECT_EQ(limiter_.checks()[2].refused, 1U);
}

TEST_F(LimiterTest, ThreadsTogetherGetWhatIsAllowedAndNoMore) {
  key_.requests_per_minute = 1'000;
  std::atomic<int> passed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, &passed] {
      for (int i = 0; i < 500; ++i) {
        Standing standing;
        if (limiter_.enter(Pool::waited_for, {{{"demo", &key_}, {}, {}}}, 0, kStart, standing))
          ++passed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(passed, 1'000);
}

// Its key and tenant are asked before it is read, its model after that.
TEST_F(LimiterTest, ARequestIsCountedOnceItIsKnownWhatItAsks) {
  key_.requests_per_minute = 2;
  key_.concurrency = 1;
  const Subjects all = {{{"demo", &key_}, {"acme", &tenant_}, {"auto", &model_}}};
  Standing standing;
  for (int i = 0; i < 5; ++i) {
    const auto unread = limiter_.begin(Pool::waited_for, all, kStart, standing);
    EXPECT_TRUE(unread) << "what cannot be read does not count";
    EXPECT_FALSE(limiter_.begin(Pool::waited_for, all, kStart, standing)) << "one at once";
  }
  for (int i = 0; i < 2; ++i) {
    auto pass = limiter_.begin(Pool::waited_for, all, kStart, standing);
    ASSERT_TRUE(pass);
    EXPECT_TRUE(limiter_.complete(*pass, Pool::waited_for, all, 10, kStart, standing));
    EXPECT_EQ(standing.requests->remaining, 1 - i);
  }
  EXPECT_FALSE(limiter_.begin(Pool::waited_for, all, kStart, standing));
}

// What the model's limits refuse costs the key nothing.
TEST_F(LimiterTest, WhatIsRefusedAfterItWasReadCountsNowhere) {
  key_.requests_per_minute = 2;
  model_.tokens_per_minute = 100;
  EXPECT_TRUE(enter(100));
  EXPECT_FALSE(enter(50));
  model_.tokens_per_minute = 0;
  EXPECT_TRUE(enter(0));
  EXPECT_FALSE(enter(0));
}

}  // namespace
}  // namespace spillway::account
