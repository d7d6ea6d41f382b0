#include "gateway/simulate/reference_engine.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <vector>

namespace spillway::simulate {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

EngineRequest request(std::uint64_t id, int prompt, int completion, bool batch = false) {
  return {.id = id,
          .prompt_tokens = prompt,
          .completion_tokens = completion,
          .completion_cap = 1'000,
          .batch = batch};
}

// Events up to `until`, by kind.
struct Times {
  std::map<std::uint64_t, double> first_token;
  std::map<std::uint64_t, double> finish;
  std::vector<double> steps;
};

Times run(ReferenceEngine& engine, double until = 1e9) {
  Times times;
  for (const EngineEvent& event : engine.advance(until)) {
    if (event.kind == EngineEventKind::first_token) times.first_token[event.id] = event.at;
    if (event.kind == EngineEventKind::finished) times.finish[event.id] = event.at;
    if (event.kind == EngineEventKind::step_ended) times.steps.push_back(event.at);
  }
  return times;
}

TEST(ReferenceEngine, IdlesUntilSomethingIsHandedIn) {
  ReferenceEngine engine({});
  EXPECT_EQ(engine.next_event(), kNever);
  EXPECT_TRUE(engine.advance(10.0).empty());
  engine.hand_in(request(1, 300, 2), 10.0);
  EXPECT_NEAR(engine.next_event(), 10.01, 1e-9);
  EXPECT_TRUE(engine.advance(10.005).empty());
  const Times times = run(engine);
  EXPECT_NEAR(times.first_token.at(1), 10.01, 1e-9);
  EXPECT_NEAR(times.finish.at(1), 10.01 + 0.007 + 3.5e-5 + 301 * 5e-8, 1e-9);
  EXPECT_EQ(times.steps.size(), 2u);
  EXPECT_EQ(engine.next_event(), kNever);
}

TEST(ReferenceEngine, APromptThatIsNotThroughIsTakenBack) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 5'000, 1, true), 0.0);
  engine.hand_in(request(2, 300, 1, true), 0.0);
  const double end = engine.next_event();
  EXPECT_FALSE(engine.take_back(1, true)) << "the step in progress reads it";
  EXPECT_TRUE(engine.take_back(2, true));
  EXPECT_FALSE(engine.take_back(2, true));
  EXPECT_EQ(engine.queued_prompt_tokens(true), 5'000);
  EXPECT_EQ(engine.advance(end).size(), 1u) << "no more than its end";
  engine.hand_in(request(3, 1'350, 1), end);
  (void)engine.next_event();  // Which reads the other's prompt.
  EXPECT_TRUE(engine.take_back(1, true)) << "half read";
  const Times times = run(engine);
  EXPECT_EQ(times.first_token.size(), 1u);
  EXPECT_EQ(engine.queued_prompt_tokens(true), 0);
  EXPECT_EQ(engine.kv_tokens_free(), 430'000);
}

TEST(ReferenceEngine, AnswersOfOneTokenEndWithTheirPrompt) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 300, 1), 0.0);
  const Times times = run(engine);
  EXPECT_EQ(times.first_token.at(1), times.finish.at(1));
  EXPECT_EQ(engine.kv_tokens_free(), 430'000);
}

TEST(ReferenceEngine, TakesWhatArrivesAtAStepsEndIntoTheNext) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 1'350, 10), 0.0);
  const double end = engine.next_event();
  engine.advance(end);
  engine.hand_in(request(2, 300, 1), end);
  EXPECT_NEAR(engine.next_event() - end, 0.007 + 3.5e-5 + 1'351 * 5e-8 + 0.01, 1e-9);
}

TEST(ReferenceEngine, GivesTheSameStepByStepAsInOneGo) {
  ReferenceEngine in_one_go({});
  ReferenceEngine step_by_step({});
  for (int id = 0; id < 50; ++id) {
    const EngineRequest one = request(id, 100 + 97 * id, 1 + 7 * id % 60, id % 3 == 0);
    in_one_go.hand_in(one, 0.0);
    step_by_step.hand_in(one, 0.0);
  }
  const Times expected = run(in_one_go);
  Times times;
  for (double at = 0.0; (at = step_by_step.next_event()) != kNever;) {
    Times step = run(step_by_step, at);
    ASSERT_EQ(step.steps.size(), 1u);
    times.first_token.merge(step.first_token);
    times.finish.merge(step.finish);
  }
  EXPECT_EQ(times.first_token, expected.first_token);
  EXPECT_EQ(times.finish, expected.finish);
  EXPECT_EQ(times.finish.size(), 50u);
}

TEST(ReferenceEngine, SharesOneStepAmongShortPrompts) {
  ReferenceEngine engine({});
  for (int id = 1; id <= 3; ++id) engine.hand_in(request(id, 400, 1), 0.0);
  const Times times = run(engine);
  EXPECT_NEAR(times.first_token.at(1), 0.04, 1e-9);
  EXPECT_NEAR(times.first_token.at(3), 0.04, 1e-9);
}

TEST(ReferenceEngine, PutsInteractivePromptsBeforeABatchOneThatIsHalfRead) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 5'000, 1, true), 0.0);
  run(engine, 0.05);
  EXPECT_EQ(engine.queued_prompt_tokens(true), 5'000 - 1'350);
  engine.hand_in(request(2, 2'000, 1), 0.05);
  EXPECT_EQ(engine.queued_prompt_tokens(false), 2'000);
  const Times times = run(engine);
  // The batch prompt's second step was under way; the last one of the interactive prompt reads 650.
  EXPECT_NEAR(times.first_token.at(2), 0.09 + 2'000 / 30'000.0, 1e-9);
  EXPECT_NEAR(times.first_token.at(1), 0.09 + 4'300 / 30'000.0, 1e-9);
}

TEST(ReferenceEngine, LetsNobodyPastAPromptWithoutRoom) {
  ReferenceEngineParams params;
  params.kv_tokens = 1'000;
  ReferenceEngine engine(params);
  EXPECT_TRUE(engine.fits(900, 100));
  EXPECT_FALSE(engine.fits(901, 100));
  engine.hand_in(request(1, 500, 100), 0.0);
  engine.hand_in(request(2, 500, 10), 0.0);
  engine.hand_in(request(3, 10, 10), 0.0);
  engine.hand_in(request(4, 10, 10, true), 0.0);
  const Times times = run(engine);
  EXPECT_GT(times.first_token.at(2), times.finish.at(1));
  EXPECT_EQ(times.first_token.at(3), times.first_token.at(2));
  EXPECT_GT(times.first_token.at(4), times.first_token.at(3));
}

// A batch prompt half read holds the room that an interactive one waits for: it must go on.
TEST(ReferenceEngine, DoesNotLockUpWhenABatchPromptHoldsTheRoom) {
  ReferenceEngineParams params;
  params.kv_tokens = 10'000;
  ReferenceEngine engine(params);
  engine.hand_in(request(1, 8'000, 10, true), 0.0);
  run(engine, 0.05);
  engine.hand_in(request(2, 5'000, 10), 0.05);
  const Times times = run(engine);
  EXPECT_GT(times.first_token.at(2), times.finish.at(1));
}

TEST(ReferenceEngine, HasSoManySlotsAndNoMore) {
  ReferenceEngineParams params;
  params.sequences_max = 2;
  ReferenceEngine engine(params);
  for (int id = 1; id <= 3; ++id) engine.hand_in(request(id, 10, 5), 0.0);
  run(engine, engine.next_event());
  EXPECT_EQ(engine.decoding(), 2);
  EXPECT_EQ(engine.waiting(false), 1);
  EXPECT_EQ(engine.context_tokens(), 22);
  const Times times = run(engine);
  EXPECT_GT(times.first_token.at(3), times.finish.at(1));
}

TEST(ReferenceEngine, ASlowerEngineTakesLongerButKeepsItsBudget) {
  ReferenceEngineParams params;
  params.slowdown = 1.25;
  ReferenceEngine engine(params);
  engine.hand_in(request(1, 1'080, 3), 0.0);
  engine.hand_in(request(2, 867, 1), 0.0);
  const Times times = run(engine);
  EXPECT_NEAR(times.first_token.at(1), 0.045, 1e-9);
  // 867 tokens are what is left of 36 ms after a step's decoding.
  const double decode = 0.007 + 3.5e-5 + 1'081 * 5e-8;
  EXPECT_NEAR(times.first_token.at(2), 0.045 + 1.25 * (decode + 867 / 30'000.0), 1e-9);
}

TEST(ReferenceEngine, ReadsCachedBlocksNoMore) {
  ReferenceEngineParams params;
  params.prefix_cache_tokens = 4 * 512;
  ReferenceEngine engine(params);
  const std::vector<std::uint64_t> first{1, 2, 3};
  const std::vector<std::uint64_t> second{1, 2, 9};
  EngineRequest one = request(1, 1'300, 1);
  one.prefix_ids = first;
  engine.hand_in(one, 0.0);
  EXPECT_EQ(engine.cached_tokens(second, 1'300), 0);
  run(engine, 1.0);
  EXPECT_EQ(engine.cached_tokens(second, 1'300), 1'024);
  EXPECT_EQ(engine.cached_tokens(first, 1'300), 1'299) << "the last token is read again";
  one.id = 2;
  one.prefix_ids = second;
  engine.hand_in(one, 1.0);
  EXPECT_EQ(engine.queued_prompt_tokens(false), 276);
  EXPECT_NEAR(run(engine, 2.0).first_token.at(2), 1.0 + 276 / 30'000.0, 1e-9);
  // Four blocks fit: 1, 2, 9 and 3. Another one drives out 3, which was used before the others.
  one.id = 3;
  const std::vector<std::uint64_t> third{7};
  one.prompt_tokens = 500;
  one.prefix_ids = third;
  engine.hand_in(one, 2.0);
  run(engine);
  EXPECT_EQ(engine.cached_tokens(first, 1'300), 1'024);
}

TEST(ReferenceEngine, WhatItTellsKnowsNothingOfHowLongAnswersWillGetOn) {
  EngineStatus told[2];
  for (const int which : {0, 1}) {
    ReferenceEngine engine({});
    engine.hand_in(request(1, 500, which == 0 ? 100 : 90'000), 0.0);
    engine.hand_in(request(2, 40'000, which == 0 ? 9'000 : 60), 0.0);
    run(engine, 0.3);
    engine.status(0.3, told[which]);
  }
  EXPECT_EQ(told[0].kv_tokens_free, told[1].kv_tokens_free);
  ASSERT_EQ(told[0].running.size(), told[1].running.size());
  for (std::size_t i = 0; i < told[0].running.size(); ++i) {
    EXPECT_EQ(told[0].running[i].context_tokens, told[1].running[i].context_tokens);
    EXPECT_EQ(told[0].running[i].generated, told[1].running[i].generated);
    EXPECT_EQ(told[0].running[i].tokens_max, told[1].running[i].tokens_max);
  }
}

TEST(ReferenceEngine, TellsWhichPromptFoundNoRoom) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 1'000, 428'000), 0.0);
  run(engine, 0.1);
  EXPECT_EQ(engine.prompt_without_room(), 0);
  engine.hand_in(request(2, 5'000, 50), 0.1);
  run(engine, 0.2);
  EXPECT_EQ(engine.prompt_without_room(), 5'000);
}

TEST(ReferenceEngine, TellsItsStateAsTheLocalEngineDoes) {
  ReferenceEngine engine({});
  engine.hand_in(request(1, 500, 50), 0.0);
  run(engine, 0.02);
  engine.hand_in(request(2, 3'000, 50, true), 0.02);
  run(engine, 0.08);
  engine.hand_in(request(3, 200, 50), 0.08);
  EngineStatus status;
  engine.status(0.08, status);
  ASSERT_EQ(status.running.size(), 2u);
  EXPECT_EQ(status.running[0].context_tokens, 500 + status.running[0].generated);
  EXPECT_EQ(status.running[0].tokens_max, 1'000) << "the cap, not what it will generate";
  EXPECT_GT(status.running[1].context_tokens, 0);
  EXPECT_EQ(status.running[1].context_tokens + status.running[1].prefill_left, 3'000);
  ASSERT_EQ(status.waiting.size(), 1u);
  EXPECT_EQ(status.waiting[0].prefill_left, 200);
  EXPECT_EQ(status.kv_tokens_free, 430'000 - status.running[0].context_tokens - 3'000);
  EXPECT_GT(status.step_elapsed, 0.0);
  EXPECT_LT(status.step_elapsed, 0.045);
  EXPECT_NEAR(status.step.seconds(status.running.size() - 1.0, 500, 0.0), 0.00706, 1e-5);
  EXPECT_EQ(status.budget.prompt_tokens(status.step, 1, 500.0), 1'138);
  EXPECT_EQ(status.running[1].lane, spillway::Lane::background);
}

}  // namespace
}  // namespace spillway::simulate
