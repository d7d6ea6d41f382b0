// Who of those that may wait goes when, and where.
#include "config/load.h"
#include "gateway/policy/held_work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace spillway::policy {
namespace {

using std::chrono::seconds;

const TimePoint kNow{std::chrono::hours(1)};

EngineStatus idle_engine() {
  EngineStatus engine;
  engine.ready = true;
  engine.sequences_max = 40;
  engine.budget = {.tokens_max = 1'000};
  engine.waiting_max = 100;
  engine.kv_tokens_total = engine.kv_tokens_free = 100'000;
  engine.step = {.base = 0.005, .per_sequence = 0.001, .per_prefill_token = 0.0001};
  return engine;
}

config::Settings settings_with(std::chrono::milliseconds per_token) {
  config::Settings settings;
  config::RequestClass interactive;
  interactive.sla.per_token = per_token;
  settings.policy.classes.push_back(interactive);
  return settings;
}

Wait wait(seconds time, int prompt = 1'000, double answer = 100.0, config::NanoUsd cost = 1'000) {
  Wait wait{.deadline = kNow + time,
            .prompt_tokens = prompt,
            .completion_tokens = answer,
            .cloud_cost = cost};
  wait.due = latest_start(wait, kNow);
  return wait;
}

class HeldWorkTest : public testing::Test {
 protected:
  HeldWorkTest() { held_.adopt(settings_with(std::chrono::milliseconds(50))); }

  void hold(std::uint64_t id, const Wait& one) { held_.hold(id, one, engine_, kNow); }

  // "7 local", "7 cloud" or "".
  std::string next(TimePoint now = kNow) {
    if (held_.reckoning_due(now)) held_.reckon(engine_, cloud_, now);
    const auto released = held_.next(engine_, now);
    if (!released) return "";
    return std::to_string(released->id) + (released->turn == Turn::local ? " local" : " cloud");
  }

  EngineStatus engine_ = idle_engine();
  CloudRoom cloud_{100.0, 1e6};
  HeldWork held_;
};

TEST_F(HeldWorkTest, AnIdleEngineTakesTheEarliestDeadlineFirst) {
  hold(1, wait(seconds(900)));
  hold(2, wait(seconds(300)));
  hold(3, wait(seconds(600)));
  EXPECT_EQ(next(), "2 local");
  EXPECT_EQ(next(), "3 local");
  EXPECT_EQ(next(), "1 local");
  EXPECT_EQ(next(), "");
  EXPECT_EQ(held_.size(), 0u);
}

TEST_F(HeldWorkTest, WhatIsDueLeavesThoughTheEngineIsIdle) {
  hold(1, wait(seconds(60)));
  EXPECT_EQ(next(kNow + seconds(40)), "1 cloud") << "20 s are left";
}

TEST_F(HeldWorkTest, AShortDeadlineIsHalfWaitedFor) {
  engine_.ready = false;
  hold(1, wait(seconds(10)));
  EXPECT_EQ(next(kNow + std::chrono::milliseconds(4'900)), "");
  EXPECT_EQ(next(kNow + seconds(5)), "1 cloud");
}

TEST_F(HeldWorkTest, NobodyOvertakesAPromptOfTheForeground) {
  hold(1, wait(seconds(900)));
  engine_.waiting.push_back({.prefill_left = 10, .tokens_max = 10});
  EXPECT_EQ(next(), "");
  engine_.running = std::exchange(engine_.waiting, {});
  EXPECT_EQ(next(), "");
  engine_.running[0].prefill_left = 0;
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, WhatTheStepUnderWayReadsIsInNobodysWay) {
  hold(1, wait(seconds(900)));
  hold(2, wait(seconds(900)));
  engine_.running.push_back({.prefill_left = 1'000, .tokens_max = 10});
  EXPECT_EQ(next(), "") << "it is to be read yet";
  engine_.step_elapsed = 0.08;
  EXPECT_EQ(next(), "") << "of 0.105 s: somebody else may come before it is over";
  engine_.step_elapsed = 0.1;
  EXPECT_EQ(next(), "1 local");
  engine_.running[0].prefill_left = 1'001;
  EXPECT_EQ(next(), "") << "a token is left";
  engine_.running[0] = {.prefill_left = 1'500, .tokens_max = 10, .lane = Lane::background};
  EXPECT_EQ(next(), "2 local") << "the next step has half of it to read";
}

TEST_F(HeldWorkTest, AStepUnderWayThatReadsForTheForegroundReadsNothingElse) {
  hold(1, wait(seconds(900)));
  engine_.step_elapsed = 0.1;
  engine_.running.push_back({.prefill_left = 10, .tokens_max = 10});
  engine_.running.push_back({.prefill_left = 1'000, .tokens_max = 10, .lane = Lane::background});
  EXPECT_EQ(next(), "");
  engine_.running[0].prefill_left = 0;
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, ButWhatFillsItsLastTile) {
  hold(1, wait(seconds(900)));
  engine_.budget.tile_tokens = 100;
  engine_.step_elapsed = 0.1;
  engine_.running.push_back({.prefill_left = 300, .tokens_max = 10});
  engine_.running.push_back({.prefill_left = 1'000, .tokens_max = 10, .lane = Lane::background});
  EXPECT_EQ(next(), "");
  engine_.running[0].prefill_left = 310;
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, OneStepsWorthOfPromptsIsPulledAtATime) {
  hold(1, wait(seconds(900)));
  engine_.waiting.push_back({.prefill_left = 1'000, .tokens_max = 10, .lane = Lane::background});
  EXPECT_EQ(next(), "");
  engine_.waiting[0].prefill_left = 999;
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, StepsStayFarBelowThePromiseWhileThereIsTime) {
  hold(1, wait(seconds(900)));
  // 22 % of 50 ms are 11 ms: the base of 5 and five sequences, and not a seventh.
  engine_.running.assign(7, {.context_tokens = 10, .generated = 1, .tokens_max = 10});
  engine_.sequences_max = 400;
  EXPECT_EQ(next(), "");
  engine_.running.resize(5);
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, AnEngineThatIsAlwaysTooSlowStillFillsItsIdleTime) {
  hold(1, wait(seconds(900)));
  engine_.step.base = 0.2;
  engine_.running.push_back({.context_tokens = 10, .generated = 1, .tokens_max = 10});
  EXPECT_EQ(next(), "");
  engine_.running.clear();
  EXPECT_EQ(next(), "1 local");
}

TEST_F(HeldWorkTest, PlacesAndKeyValueRoomAreLeftToTheForeground) {
  hold(1, wait(seconds(900)));
  engine_.sequences_max = 10;  // 25 %, rounded up: three.
  engine_.running.assign(3, {.context_tokens = 10, .generated = 1, .tokens_max = 10});
  EXPECT_EQ(next(), "");
  engine_.sequences_max = 40;
  engine_.kv_tokens_free = 20'000;
  EXPECT_EQ(next(), "") << "80 % are in use";
  engine_.kv_tokens_free = 20'001;
  EXPECT_EQ(next(), "1 local");
}

// Each takes 0.2 s of the engine, which has 80 s for all of them.
TEST_F(HeldWorkTest, UnderPressureTheDearestAtAProviderStays) {
  for (std::uint64_t id = 0; id < 200; ++id)
    hold(id, wait(seconds(100), 1'000, 100.0, id == 77 ? 9'000 : 1'000));
  EXPECT_EQ(next(), "77 local");
  EXPECT_GT(held_.pressure(), 0.4);
  EXPECT_LT(held_.pressure(), 0.7);
}

TEST_F(HeldWorkTest, WhatThereIsBarelyTimeForGoesByItsDeadline) {
  for (std::uint64_t id = 0; id < 340; ++id)
    hold(id, wait(seconds(id == 5 ? 99 : 100), 1'000, 100.0, id == 77 ? 9'000 : 1'000));
  EXPECT_EQ(next(), "5 local");
}

TEST_F(HeldWorkTest, OfFarTooMuchTheDearestStays) {
  for (std::uint64_t id = 0; id < 600; ++id)
    hold(id, wait(seconds(id == 5 ? 99 : 100), 1'000, 100.0, id == 77 ? 9'000 : 1'000));
  EXPECT_EQ(next(), "77 local");
}

TEST_F(HeldWorkTest, OfFarTooMuchTenantsStayInTurns) {
  for (std::uint64_t id = 0; id < 2'000; ++id) {
    Wait one = wait(seconds(100), 1'000, 100.0, id < 1'000 ? 9'000 : 1'000);
    one.tenant = id < 1'000 ? "dear" : "cheap";
    hold(id, one);
  }
  const auto who = [this] { return std::stoi(next()) < 1'000 ? "dear" : "cheap"; };
  const std::vector<std::string> first = {who(), who(), who(), who()};
  EXPECT_EQ(std::count(first.begin(), first.end(), "dear"), 2);
}

TEST_F(HeldWorkTest, WhatThereIsTimeForGoesByItsDeadlineWhoseverItIs) {
  for (std::uint64_t id = 0; id < 4; ++id) {
    Wait one = wait(seconds(900 + static_cast<int>(id)));
    one.tenant = id < 2 ? "first" : "second";
    hold(id, one);
  }
  EXPECT_EQ(next(), "0 local");
  EXPECT_EQ(next(), "1 local");
  EXPECT_EQ(next(), "2 local");
}

TEST_F(HeldWorkTest, ABurstOfTheForegroundDoesNotChangeThePlan) {
  for (std::uint64_t id = 0; id < 200; ++id)
    hold(id, wait(seconds(id == 5 ? 99 : 100), 1'000, 100.0, id == 77 ? 9'000 : 1'000));
  held_.foreground(7.0, kNow);  // Of 20 s.
  EXPECT_EQ(next(), "77 local");
  EXPECT_GT(held_.pressure(), 0.7) << "but the engine is filled up";
  EXPECT_LT(held_.pressure(), 1.2);
}

TEST_F(HeldWorkTest, UnderPressureWithoutAProviderTheEarliestDeadlineGoesFirst) {
  cloud_ = {};
  for (std::uint64_t id = 1; id <= 100; ++id)
    hold(id, wait(seconds(60 + static_cast<int>(id % 7)), 1'000, 1'000.0, 0));
  held_.reckon(engine_, cloud_, kNow);
  ASSERT_GT(held_.pressure(), 1.0);
  engine_.sequences_max = 1'000;
  EXPECT_EQ(next(), "7 local");
  EXPECT_EQ(next(), "14 local");
}

TEST_F(HeldWorkTest, WhatIsTooMuchLeavesAtTheProvidersPaceTheLeastWorthFirst) {
  cloud_ = {10.0, 1e9};
  // 1,600 of 0.2 s are far more than the 72 s there are; at ten a second sending takes long.
  for (std::uint64_t id = 0; id < 1'600; ++id)
    hold(id, wait(seconds(100), 1'000, 100.0, id == 5 ? 10 : 1'000));
  engine_.running.push_back({.prefill_left = 10, .tokens_max = 10});  // No room there.
  EXPECT_EQ(next(), "") << "nothing is known yet of how fast time passes";
  EXPECT_EQ(next(kNow + seconds(1)), "5 cloud");
  int sent = 1;
  while (!next(kNow + seconds(1)).empty()) ++sent;
  EXPECT_EQ(sent, 9) << "nine tenths of what the providers allow";
  EXPECT_GT(held_.pressure(), 1.0);
}

TEST_F(HeldWorkTest, TheForegroundsShareIsNotPlannedWith) {
  for (std::uint64_t id = 0; id < 100; ++id) hold(id, wait(seconds(100)));
  (void)next();
  const double alone = held_.pressure();
  for (int i = 0; i < 200; ++i) held_.foreground(0.05, kNow);  // Half of the memory of 20 s.
  held_.reckon(engine_, cloud_, kNow);
  EXPECT_NEAR(held_.pressure() / alone, 0.9 / 0.4, 0.1);
}

TEST_F(HeldWorkTest, WorkThatCostsNothingIsCountedAllTheSame) {
  engine_.step = {};
  hold(1, wait(seconds(900)));
  hold(2, wait(seconds(900)));
  EXPECT_EQ(next(), "1 local");
  EXPECT_EQ(next(), "2 local");
  EXPECT_EQ(next(), "");
}

TEST_F(HeldWorkTest, ASlowProviderIsAskedInTime) {
  engine_.ready = false;
  Wait slow = wait(seconds(100));
  slow.cloud_seconds = 40.0;
  slow.due = latest_start(slow, kNow);
  hold(1, slow);
  EXPECT_EQ(next(kNow + seconds(39)), "");
  EXPECT_EQ(next(kNow + seconds(40)), "1 cloud") << "60 s are one and a half times 40";
}

TEST_F(HeldWorkTest, WhoFoundEverybodyFullIsDueAgainAfterAPause) {
  engine_.ready = false;
  Wait again = wait(seconds(60));
  again.again = true;
  const TimePoint now = kNow + seconds(45);  // It was due five seconds ago.
  held_.hold(1, again, engine_, now);
  EXPECT_EQ(next(now), "");
  EXPECT_EQ(next(now + std::chrono::milliseconds(249)), "");
  EXPECT_EQ(next(now + std::chrono::milliseconds(250)), "1 cloud");
  held_.hold(1, again, engine_, kNow);
  EXPECT_EQ(next(kNow + seconds(39)), "") << "it left before it was due";
  EXPECT_EQ(next(kNow + seconds(40)), "1 cloud");
}

TEST_F(HeldWorkTest, ManyWhoComeAgainAreAskedMoreSeldom) {
  engine_.ready = false;
  Wait again = wait(seconds(60));
  again.again = true;
  const TimePoint now = kNow + seconds(45);
  for (std::uint64_t id = 0; id < 1'000; ++id) held_.hold(id, again, engine_, now);
  int left = 0;
  while (!next(now + seconds(1)).empty()) ++left;
  EXPECT_NEAR(left, 500, 1);
}

TEST_F(HeldWorkTest, WhatTheEngineWasTooLateForIsNotItsTurnAgain) {
  Wait late = wait(seconds(60));
  late.not_here = true;
  hold(1, late);
  EXPECT_EQ(next(), "");
  hold(2, wait(seconds(90)));
  EXPECT_EQ(next(), "2 local");
  EXPECT_EQ(next(kNow + seconds(40)), "1 cloud");
}

TEST(CloudRoom, IsWhatIsFreeOfThePlacesOfWorkThatWaits) {
  config::Settings settings;
  settings.providers.resize(1);
  settings.providers[0].name = "up";
  settings.providers[0].concurrency_max = 8;
  FleetFacts fleet;
  fleet.providers.resize(1);
  ProviderFacts& facts = fleet.providers[0];
  facts.name = "up";
  facts.ttft_p50 = 0.5;
  EXPECT_NEAR(cloud_room(settings, fleet).requests_per_second, 12.0, 1e-9) << "six of eight";
  facts.in_flight = 5;
  EXPECT_NEAR(cloud_room(settings, fleet).requests_per_second, 2.0, 1e-9);
  facts.in_flight = 8;
  EXPECT_NEAR(cloud_room(settings, fleet).requests_per_second, 0.0, 1e-9);
  settings.providers[0].rate_limit.requests_per_minute = 60;
  facts.in_flight = 0;
  EXPECT_NEAR(cloud_room(settings, fleet).requests_per_second, 1.0, 1e-9);
}

TEST_F(HeldWorkTest, WhatLeavesTellsWhatAGpuSecondIsWorth) {
  EXPECT_EQ(held_.gpu_second_worth(), 0.0);
  engine_.ready = false;
  for (std::uint64_t id = 0; id < 2'000; ++id)
    hold(id, wait(seconds(100), 1'000, 100.0, 1'000));  // 0.2 s each: 5,000 a second.
  while (held_.size() > 500) (void)next(kNow + seconds(80));
  EXPECT_GT(held_.pressure(), 1.0);
  EXPECT_NEAR(held_.gpu_second_worth(), 5'000.0, 50.0);
}

TEST_F(HeldWorkTest, AClientThatLeavesIsForgotten) {
  hold(1, wait(seconds(900)));
  hold(2, wait(seconds(900)));
  held_.drop(1);
  held_.drop(99);
  EXPECT_EQ(next(), "2 local");
  EXPECT_EQ(next(), "");
}

TEST_F(HeldWorkTest, NobodyIsLostOrDoubledOverRandomSchedules) {
  std::mt19937 random(3);
  const auto pick = [&](int most) { return std::uniform_int_distribution(1, most)(random); };
  std::set<std::uint64_t> inside;
  std::uint64_t last = 0;
  TimePoint now = kNow;
  for (int turn = 0; turn < 20'000; ++turn) {
    now += std::chrono::milliseconds(pick(200));
    if (turn < 15'000 && pick(2) == 1) {
      Wait one = wait(seconds(0), pick(3'000), 1.0 * pick(500), pick(9'999));
      one.deadline = now + seconds(pick(600));
      one.due = latest_start(one, now);
      one.again = pick(4) == 1;
      one.not_here = pick(4) == 1;
      one.tenant = std::to_string(pick(3));
      held_.hold(++last, one, engine_, now);
      inside.insert(last);
    }
    engine_.ready = pick(50) > 1;
    engine_.running.assign(static_cast<std::size_t>(pick(12)) - 1,
                           {.context_tokens = 10, .generated = 1, .tokens_max = 10});
    if (held_.reckoning_due(now)) held_.reckon(engine_, cloud_, now);
    if (const auto released = held_.next(engine_, now)) {
      ASSERT_EQ(inside.erase(released->id), 1u);
    }
    ASSERT_EQ(held_.size(), inside.size());
    ASSERT_GE(held_.pressure(), 0.0);
  }
  while (held_.next(engine_, now + seconds(1'000))) {
  }
  EXPECT_EQ(held_.size(), 0u);
}

}  // namespace
}  // namespace spillway::policy
