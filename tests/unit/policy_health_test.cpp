// A provider's breaker, its rate limit and its places.
#include "gateway/policy/health.h"
#include "gateway/policy/judge.h"

#include <gtest/gtest.h>

namespace spillway::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};
const config::Breaker kRules{
    .window = 10, .failure_share_max = 0.5, .failures_min = 5, .open_for = milliseconds(5'000)};

void attempts(Breaker& breaker, int count, bool failing, TimePoint now = kStart) {
  for (int i = 0; i < count; ++i) {
    const Breaker::Pass pass = breaker.enter(now);
    ASSERT_TRUE(pass.allowed);
    failing ? breaker.failed(pass, now) : breaker.succeeded(pass);
  }
}

TEST(Breaker, OpensAtItsShareOnceEnoughHaveFailed) {
  Breaker breaker(kRules);
  attempts(breaker, 4, true);
  EXPECT_EQ(breaker.permission(kStart), Permission::closed) << "four are fewer than failures_min";
  attempts(breaker, 1, true);
  EXPECT_EQ(breaker.permission(kStart), Permission::open);
  EXPECT_FALSE(breaker.enter(kStart).allowed);
  EXPECT_EQ(breaker.open_until(), kStart + seconds(5));
  EXPECT_EQ(breaker.times_opened(), 1);
}

TEST(Breaker, StaysClosedBelowItsShare) {
  Breaker breaker(kRules);
  attempts(breaker, 6, false);
  attempts(breaker, 4, true);
  EXPECT_EQ(breaker.permission(kStart), Permission::closed) << "4 of 10";
}

TEST(Breaker, ForgetsWhatFellOutOfItsWindow) {
  Breaker breaker(kRules);
  attempts(breaker, 6, false);
  attempts(breaker, 4, true);
  attempts(breaker, 10, false);
  attempts(breaker, 4, true);
  EXPECT_EQ(breaker.permission(kStart), Permission::closed);
  attempts(breaker, 1, true);
  EXPECT_EQ(breaker.permission(kStart), Permission::open) << "5 of the last 10";
}

TEST(Breaker, LetsOneProbeThroughAtATime) {
  Breaker breaker(kRules);
  attempts(breaker, 5, true);
  const TimePoint later = kStart + seconds(5);
  EXPECT_EQ(breaker.permission(later - milliseconds(1)), Permission::open);
  EXPECT_EQ(breaker.permission(later), Permission::probe);
  const Breaker::Pass probe = breaker.enter(later);
  EXPECT_TRUE(probe.is_probe);
  EXPECT_EQ(breaker.permission(later), Permission::open);
  EXPECT_FALSE(breaker.enter(later).allowed);
  breaker.withdrawn(probe);
  EXPECT_EQ(breaker.permission(later), Permission::probe) << "it told nothing: the next may try";
}

TEST(Breaker, AProbeDecides) {
  Breaker breaker(kRules);
  attempts(breaker, 5, true);
  const TimePoint later = kStart + seconds(5);
  breaker.failed(breaker.enter(later), later);
  EXPECT_EQ(breaker.permission(later + milliseconds(4'999)), Permission::open);
  EXPECT_EQ(breaker.times_opened(), 2);
  breaker.succeeded(breaker.enter(later + seconds(5)));
  EXPECT_EQ(breaker.permission(later + seconds(5)), Permission::closed);
  attempts(breaker, 4, true, later + seconds(5));
  EXPECT_EQ(breaker.permission(later + seconds(5)), Permission::closed) << "with a clean window";
}

TEST(Breaker, OpensAtOnceForAnAccountThatIsRefused) {
  config::Breaker rules = kRules;
  rules.account_pause = milliseconds(60'000);
  Breaker breaker(rules);
  const Breaker::Pass first = breaker.enter(kStart);
  const Breaker::Pass second = breaker.enter(kStart);
  breaker.refused_account(first, kStart);
  EXPECT_TRUE(breaker.refuses_account());
  breaker.refused_account(second, kStart + milliseconds(10'000));
  EXPECT_EQ(breaker.open_until(), kStart + milliseconds(60'000)) << "it is known by then";
  EXPECT_EQ(breaker.times_opened(), 1);
  const Breaker::Pass probe = breaker.enter(breaker.open_until());
  ASSERT_TRUE(probe.is_probe);
  breaker.refused_account(probe, breaker.open_until());
  EXPECT_EQ(breaker.open_until(), kStart + milliseconds(120'000));
  EXPECT_EQ(breaker.permission(breaker.open_until()), Permission::probe);
  breaker.succeeded(breaker.enter(breaker.open_until()));
  EXPECT_FALSE(breaker.refuses_account());
}

TEST(Breaker, WhatWasUnderWayWhenItOpenedChangesNothing) {
  Breaker breaker(kRules);
  const Breaker::Pass early = breaker.enter(kStart);
  const Breaker::Pass other = breaker.enter(kStart);
  attempts(breaker, 5, true);
  breaker.succeeded(early);
  breaker.failed(other, kStart + seconds(4));
  EXPECT_EQ(breaker.permission(kStart), Permission::open);
  EXPECT_EQ(breaker.open_until(), kStart + seconds(5));
}

config::ProviderTarget provider() {
  config::ProviderTarget provider;
  provider.name = "ai-hub";
  provider.breaker = kRules;
  provider.concurrency_max = 2;
  provider.measured = {.ttft_p50 = milliseconds(400), .ttft_p99 = milliseconds(1'000)};
  return provider;
}

void fail_times(Health& health, int count, const Error& error, TimePoint sent, TimePoint failed) {
  for (int i = 0; i < count; ++i) {
    auto visit = health.enter(sent);
    ASSERT_TRUE(visit);
    health.failed(*visit, error, failed);
    health.leave(*visit);
  }
}

TEST(Health, KeepsToItsConcurrency) {
  Health health(provider(), kStart);
  auto first = health.enter(kStart);
  auto second = health.enter(kStart);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(health.enter(kStart));
  EXPECT_EQ(health.facts(kStart).in_flight, 2);
  health.leave(*first);
  EXPECT_TRUE(health.enter(kStart));
}

TEST(Health, ARateLimitClosesItForAsLongAsItSays) {
  Health health(provider(), kStart);
  const Error limited{.code = Errc::rate_limited, .retry_after = milliseconds(2'500)};
  fail_times(health, 1, limited, kStart, kStart);
  EXPECT_EQ(health.facts(kStart).limited_until, kStart + milliseconds(2'500));
  EXPECT_FALSE(health.enter(kStart + milliseconds(2'499)));
  EXPECT_TRUE(health.enter(kStart + milliseconds(2'500)));
  EXPECT_FALSE(health.facts(kStart + milliseconds(2'500)).limited_until);
}

TEST(Health, WhatIsOverloadedRestsAsLongAsItSaysAndElseCountsAsFailed) {
  Health health(provider(), kStart);
  const Error told{.code = Errc::overloaded, .retry_after = milliseconds(2'500)};
  fail_times(health, 1, told, kStart, kStart);
  EXPECT_EQ(health.facts(kStart).limited_until, kStart + milliseconds(2'500));
  EXPECT_EQ(health.facts(kStart).permission, Permission::closed);
  const auto later = kStart + milliseconds(2'500);
  fail_times(health, 2, Error{.code = Errc::overloaded}, later, later);
  const Error at_once{.code = Errc::overloaded, .retry_after = milliseconds(0)};
  fail_times(health, 3, at_once, later, later);
  EXPECT_FALSE(health.facts(later).limited_until);
  EXPECT_EQ(health.facts(later).permission, Permission::open);
}

TEST(Health, RateLimitsAndClientsFaultsDoNotOpenTheBreaker) {
  Health health(provider(), kStart);
  for (Errc code :
       {Errc::rate_limited, Errc::invalid_request, Errc::cancelled, Errc::slow_client}) {
    fail_times(health, 5, Error{.code = code, .retry_after = milliseconds(0)}, kStart, kStart);
  }
  EXPECT_EQ(health.facts(kStart).permission, Permission::closed);
  fail_times(health, 5, Error{.code = Errc::backend_unavailable}, kStart, kStart);
  EXPECT_EQ(health.facts(kStart).permission, Permission::open);
}

TEST(Health, ADeadlineIsItsFaultOnlyWhenItsFirstTokenWasOverdue) {
  const Error late{.code = Errc::deadline_exceeded};
  Health hurried(provider(), kStart);
  fail_times(hurried, 5, late, kStart, kStart + milliseconds(900));
  EXPECT_EQ(hurried.facts(kStart).permission, Permission::closed) << "within its P99 of 1 s";
  Health silent(provider(), kStart);
  fail_times(silent, 5, late, kStart, kStart + milliseconds(1'100));
  EXPECT_EQ(silent.facts(kStart).permission, Permission::open);
}

void answer_after(Health& health, milliseconds took, const Promise& promise, TimePoint now) {
  auto visit = health.enter(now - took, {.promise = promise});
  ASSERT_TRUE(visit);
  health.answered(*visit, now);
  health.leave(*visit);
}

void time_out(Health& health, const Promise& promise, milliseconds waited) {
  for (int i = 0; i < 5; ++i) {
    auto visit = health.enter(kStart, {.promise = promise});
    ASSERT_TRUE(visit);
    health.failed(*visit, Error{.code = Errc::deadline_exceeded}, kStart + waited);
    health.leave(*visit);
  }
}

TEST(Health, ADeadlineOfTheClientsIsNotItsFault) {
  Health health(provider(), kStart);
  time_out(health, {.prompt_tokens = 500, .ttft_max = 1.0, .client_hurries = true}, seconds(20));
  EXPECT_EQ(health.facts(kStart).permission, Permission::closed);
  time_out(health, {.prompt_tokens = 500, .ttft_max = 1.0}, seconds(20));
  EXPECT_EQ(health.facts(kStart).permission, Permission::open);
}

TEST(Health, LongPromptsAreOverdueLater) {
  Health unread(provider(), kStart);
  time_out(unread, {.prompt_tokens = 5'000}, milliseconds(7'900));
  EXPECT_EQ(unread.facts(kStart).permission, Permission::closed) << "eight times a short one's";
  time_out(unread, {.prompt_tokens = 5'000}, milliseconds(8'500));
  EXPECT_EQ(unread.facts(kStart).permission, Permission::open);

  Health read(provider(), kStart);
  for (int i = 0; i < 20; ++i)
    answer_after(read, milliseconds(1'600), {.prompt_tokens = 2'000}, kStart);
  time_out(read, {.prompt_tokens = 2'000}, milliseconds(1'500));
  EXPECT_EQ(read.facts(kStart).permission, Permission::closed);
  time_out(read, {.prompt_tokens = 2'000}, milliseconds(1'900));
  EXPECT_EQ(read.facts(kStart).permission, Permission::open) << "less than twice a short one's";
}

TEST(Health, StreamsThatBreakCountAlthoughTheyBegan) {
  Health health(provider(), kStart);
  for (int i = 0; i < 5; ++i) {
    auto visit = health.enter(kStart);
    ASSERT_TRUE(visit) << i;
    health.answered(*visit, kStart + milliseconds(300));
    health.failed(*visit, Error{.code = Errc::backend_unavailable}, kStart + seconds(1));
    health.leave(*visit);
  }
  EXPECT_EQ(health.facts(kStart).permission, Permission::open) << "5 of 10";
}

TEST(Health, AProbeThatAnsweredAndThenBrokeIsOneFailureAmongOthers) {
  Health health(provider(), kStart);
  fail_times(health, 5, Error{.code = Errc::backend_unavailable}, kStart, kStart);
  const TimePoint later = kStart + seconds(6);
  auto probe = health.enter(later);
  ASSERT_TRUE(probe);
  health.answered(*probe, later);
  health.failed(*probe, Error{.code = Errc::backend_unavailable}, later);
  health.leave(*probe);
  EXPECT_EQ(health.facts(later).permission, Permission::closed);
}

TEST(Health, AProbeThatIsDroppedIsGivenBack) {
  Health health(provider(), kStart);
  fail_times(health, 5, Error{.code = Errc::backend_unavailable}, kStart, kStart);
  const TimePoint later = kStart + seconds(6);
  auto probe = health.enter(later);
  ASSERT_TRUE(probe);
  EXPECT_FALSE(health.enter(later));
  health.leave(*probe);
  EXPECT_EQ(health.facts(later).permission, Permission::probe);
}

TEST(Health, LearnsItsPaceFromWhatItServes) {
  Health health(provider(), kStart);
  EXPECT_DOUBLE_EQ(health.facts(kStart).ttft_p50, 0.4);
  EXPECT_DOUBLE_EQ(health.facts(kStart).ttft_p99, 1.0);
  for (int i = 0; i < 200; ++i) {
    auto visit = health.enter(kStart);
    health.answered(*visit, kStart + milliseconds(2'000));
    health.finished(*visit, 101, kStart + milliseconds(4'000));
    health.leave(*visit);
  }
  EXPECT_NEAR(health.facts(kStart).ttft_p50, 2.0, 0.06);
  EXPECT_NEAR(health.facts(kStart).tokens_per_second, 50.0, 0.5);
}

TEST(Health, ACheaperTierThatIsFullClosesItselfAlone) {
  Health health(provider(), kStart);
  auto patient = health.enter(kStart, {.streamed = true, .at_batch_rate = true});
  ASSERT_TRUE(patient);
  Error full{Errc::rate_limited, "", "", std::nullopt};
  full.retry_after = milliseconds(2'500);
  health.failed(*patient, full, kStart);
  health.leave(*patient);
  EXPECT_FALSE(health.facts(kStart).limited_until);
  EXPECT_EQ(health.facts(kStart).batch_tier_full_until, kStart + milliseconds(2'500));
  EXPECT_FALSE(health.enter(kStart, {.streamed = true, .at_batch_rate = true}));
  EXPECT_TRUE(health.enter(kStart));
  EXPECT_TRUE(
      health.enter(kStart + milliseconds(2'500), {.streamed = true, .at_batch_rate = true}));
}

TEST(Health, AProbeIsNotOfTheCheaperTier) {
  Health health(provider(), kStart);
  fail_times(health, 5, Error{.code = Errc::backend_unavailable}, kStart, kStart);
  const TimePoint later = health.facts(kStart).open_until;
  ASSERT_EQ(health.facts(later).permission, Permission::probe);
  EXPECT_FALSE(health.enter(later, {.streamed = true, .at_batch_rate = true}));
  EXPECT_TRUE(health.enter(later));
}

TEST(Health, AWholeAnswerThatWasNotWaitedForTellsNothing) {
  Health health(provider(), kStart);
  for (int i = 0; i < 10; ++i) {
    auto visit = health.enter(kStart, {.streamed = false});
    ASSERT_TRUE(visit);
    health.failed(*visit, Error{Errc::deadline_exceeded, "", "", std::nullopt},
                  kStart + std::chrono::seconds(20));
    health.leave(*visit);
  }
  EXPECT_EQ(health.facts(kStart).permission, Permission::closed);
}

TEST(Health, KnowsWhichPromptsItHasInTime) {
  Health health(provider(), kStart);
  for (int i = 0; i < 20; ++i) {
    answer_after(health, milliseconds(400), {.prompt_tokens = 500, .ttft_max = 1.0}, kStart);
    answer_after(health, milliseconds(1'600), {.prompt_tokens = 28'000, .ttft_max = 1.0}, kStart);
    answer_after(health, milliseconds(9'000), {.prompt_tokens = 3'000}, kStart);
    answer_after(health, milliseconds(400),
                 {.prompt_tokens = 6'000, .ttft_max = 0.001, .client_hurries = true}, kStart);
  }
  const InTime in_time = health.facts(kStart).in_time;
  EXPECT_FLOAT_EQ(in_time.share(900), 1.0F);
  EXPECT_LT(in_time.share(28'000), 0.1F);
  EXPECT_FLOAT_EQ(in_time.share(200'000), 1.0F) << "another length, of which nothing is known";
  EXPECT_FLOAT_EQ(in_time.share(3'000), 1.0F) << "nothing was promised";
  EXPECT_FLOAT_EQ(in_time.share(6'000), 1.0F) << "nor so soon";
}

TEST(Health, TriesWhatItHadLateAgainSomeDay) {
  Health health(provider(), kStart);
  for (int i = 0; i < 20; ++i)
    answer_after(health, milliseconds(1'600), {.prompt_tokens = 28'000, .ttft_max = 1.0}, kStart);
  const TimePoint later = kStart + std::chrono::hours(4);
  EXPECT_NEAR(health.facts(later).in_time.share(28'000), 0.5F, 0.05F);
  answer_after(health, milliseconds(600), {.prompt_tokens = 28'000, .ttft_max = 1.0}, later);
  EXPECT_GT(health.facts(later).in_time.share(28'000), 0.5F);
}

config::ProviderTarget encoder() {
  config::ProviderTarget target;
  target.encoder.model_path = "folder";
  target.serves = {{"minilm", "minilm"}};
  return target;
}

Asking reading(int tokens, Lane lane = Lane::foreground) {
  Asking asking;
  asking.streamed = false;
  asking.prompt_tokens = tokens;
  asking.lane = lane;
  return asking;
}

// Reads so many tokens, from `begin` on.
void read(Health& health, int tokens, TimePoint begin, seconds took) {
  auto visit = health.enter(begin, reading(tokens));
  ASSERT_TRUE(visit);
  health.answered(*visit, begin + took);
  health.leave(*visit);
}

TEST(Health, AnEncoderOfThisMachineIsKnownByWhatItReadWhileAtWork) {
  Health health(encoder(), kStart);
  EXPECT_EQ(health.facts(kStart).tokens_read_per_second, 0.0);
  read(health, 1'000, kStart, seconds(1));
  EXPECT_DOUBLE_EQ(health.facts(kStart).tokens_read_per_second, 1'000.0);
  read(health, 1'000, kStart + seconds(60), seconds(1));
  EXPECT_DOUBLE_EQ(health.facts(kStart).tokens_read_per_second, 1'000.0);  // Idle time is none.
  read(health, 4'000, kStart + seconds(120), seconds(20));
  EXPECT_LT(health.facts(kStart).tokens_read_per_second, 300.0);  // What was long ago fades.
}

TEST(Health, WhatAnEncoderHasBeforeItIsToldByLaneUntilItIsReadOrDropped) {
  Health health(encoder(), kStart);
  auto first = health.enter(kStart, reading(3'000));
  auto second = health.enter(kStart, reading(5'000, Lane::background));
  EXPECT_EQ(health.facts(kStart).foreground_tokens, 3'000);
  EXPECT_EQ(health.facts(kStart).background_tokens, 5'000);
  health.answered(*first, kStart + seconds(3));
  EXPECT_EQ(health.facts(kStart).foreground_tokens, 0);
  health.leave(*first);
  EXPECT_EQ(health.facts(kStart).foreground_tokens, 0);
  health.leave(*second);  // Nobody waits for it any more.
  EXPECT_EQ(health.facts(kStart).background_tokens, 0);
  EXPECT_DOUBLE_EQ(health.facts(kStart).tokens_read_per_second, 1'000.0);
}

TEST(Health, ShortInputsSayLittleOfAnEncodersPace) {
  Health health(encoder(), kStart);
  for (int i = 0; i < 10; ++i) read(health, 1, kStart + seconds(60 * i), seconds(1));
  EXPECT_GE(health.facts(kStart).tokens_read_per_second, 30.0);
}

TEST(Health, AServiceElsewhereHasNoBacklog) {
  Health health(config::ProviderTarget{}, kStart);
  read(health, 1'000, kStart, seconds(1));
  EXPECT_EQ(health.facts(kStart).tokens_read_per_second, 0.0);
}

TEST(Judge, AnEncoderIsDoneOnceItHasReadWhatIsBeforeIt) {
  ProviderFacts facts;
  facts.foreground_tokens = 3'000;
  facts.background_tokens = 5'000;
  facts.tokens_read_per_second = 1'000.0;
  Work work;
  work.prompt_tokens = 1'000;
  work.asks = Endpoint::embeddings;
  work.ttft_max = 4.5;
  config::ProviderTarget target = encoder();
  target.endpoints = {"embeddings"};
  const Judged fits = judge_provider(target, facts, work, kStart);
  EXPECT_DOUBLE_EQ(fits.ttft, 4.0);
  EXPECT_DOUBLE_EQ(fits.finish, 4.0);
  EXPECT_EQ(fits.verdict, Verdict::fits);
  work.ttft_max = 3.5;
  EXPECT_EQ(judge_provider(target, facts, work, kStart).verdict, Verdict::misses_ttft);
  work.lane = Lane::background;
  EXPECT_DOUBLE_EQ(judge_provider(target, facts, work, kStart).ttft, 9.0);
}

}  // namespace
}  // namespace spillway::policy
