#include "backends/local/kv/block_pool.h"
#include "backends/local/sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace spillway::local {
namespace {

constexpr int kBlock = 16;

TEST(BlockPool, GivesAllOrNothing) {
  BlockPool pool(3, kBlock);
  std::vector<std::int32_t> table;
  EXPECT_TRUE(pool.grow(table, 17));
  EXPECT_EQ(table.size(), 2u);
  std::vector<std::int32_t> other;
  EXPECT_FALSE(pool.grow(other, 17));
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(pool.blocks_free(), 1);
  pool.release(table);
  EXPECT_EQ(pool.blocks_free(), 3);
}

TEST(BlockPool, GrowsOnlyWhenABlockIsFull) {
  BlockPool pool(2, kBlock);
  std::vector<std::int32_t> table;
  EXPECT_TRUE(pool.grow(table, 1));
  EXPECT_TRUE(pool.grow(table, 16));
  EXPECT_EQ(table.size(), 1u);
  EXPECT_TRUE(pool.grow(table, 17));
  EXPECT_NE(table[0], table[1]);
}

TEST(Scheduler, DecodesComeFirstAndPromptsShareTheRest) {
  BlockPool pool(100, kBlock);
  Scheduler scheduler({4, {32}}, pool);
  scheduler.add(1, 10);
  scheduler.commit(scheduler.plan());  // 1 has its prompt and one token more.
  scheduler.add(2, 40);
  scheduler.add(3, 40);

  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].sequence, 1u);
  EXPECT_EQ(plan[0].first_position, 10);
  EXPECT_TRUE(plan[0].yields_token);
  EXPECT_EQ(plan[1].sequence, 2u);
  EXPECT_EQ(plan[1].tokens, 31);
  EXPECT_FALSE(plan[1].yields_token);
  EXPECT_EQ(scheduler.waiting(), 1) << "no budget is left for 3, so it takes no blocks yet";
}

// Nobody else's prompt is held up by that.
TEST(Scheduler, SequencesOfWhichAllIsComputedShareTheirTokensOfAStep) {
  BlockPool pool(100, kBlock);
  Scheduler scheduler({4, {64}}, pool);
  for (const SequenceId id : {1, 2, 3}) scheduler.add(id, 20);
  scheduler.compute_all(1, 24);
  scheduler.compute_all(2, 24);
  const auto tokens_of = [&] {
    const auto plan = scheduler.plan();
    std::map<SequenceId, int> tokens;
    for (const ScheduledSlice& slice : plan) tokens[slice.sequence] = slice.tokens;
    scheduler.commit(plan);
    return tokens;
  };
  EXPECT_EQ(tokens_of(), (std::map<SequenceId, int>{{1, 20}, {2, 4}, {3, 20}}));
  EXPECT_EQ(tokens_of(), (std::map<SequenceId, int>{{1, 1}, {2, 16}, {3, 1}}));
}

TEST(Scheduler, PausedSequencesSitOut) {
  BlockPool pool(100, kBlock);
  Scheduler scheduler({4, {32}}, pool);
  scheduler.add(1, 4);
  scheduler.commit(scheduler.plan());
  scheduler.pause(1, true);
  EXPECT_TRUE(scheduler.plan().empty());
  scheduler.pause(1, false);
  EXPECT_EQ(scheduler.plan().size(), 1u);
}

TEST(Scheduler, TheYoungestGivesUpItsBlocksAndIsRecomputed) {
  BlockPool pool(4, kBlock);
  Scheduler scheduler({2, {64}}, pool);
  scheduler.add(1, 16);
  scheduler.add(2, 16);
  scheduler.commit(scheduler.plan());  // Both hold one block and need a second now.
  scheduler.commit(scheduler.plan());
  for (int i = 0; i < 15; ++i) scheduler.commit(scheduler.plan());
  EXPECT_EQ(pool.blocks_free(), 0);
  const auto plan = scheduler.plan();  // The 33rd token of each: a block too many.
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].sequence, 1u);
  EXPECT_EQ(scheduler.preemptions(), 1u);
  scheduler.commit(plan);
  scheduler.remove(1);
  const auto again = scheduler.plan();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].sequence, 2u);
  EXPECT_EQ(again[0].first_position, 0);
  EXPECT_EQ(again[0].tokens, 33) << "its prompt and all that it had generated";
}

TEST(Scheduler, APreemptedSequenceComesBeforeThoseThatNeverRan) {
  BlockPool pool(4, kBlock);
  Scheduler scheduler({3, {64}}, pool);
  scheduler.add(1, 16);
  scheduler.commit(scheduler.plan());
  scheduler.add(2, 1);
  scheduler.commit(scheduler.plan());
  scheduler.add(3, 1);
  while (scheduler.preemptions() == 0) scheduler.commit(scheduler.plan());
  scheduler.remove(1);
  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].sequence, 2u);
}

TEST(Scheduler, TheForegroundGoesFirstAlsoInTheMiddleOfAPrompt) {
  BlockPool pool(100, kBlock);
  Scheduler scheduler({4, {32}}, pool);
  scheduler.add(1, 40, Lane::background);
  scheduler.commit(scheduler.plan());
  scheduler.add(2, 20, Lane::background);
  scheduler.add(3, 30, Lane::foreground);
  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].sequence, 3u);
  EXPECT_EQ(plan[0].tokens, 30);
  scheduler.commit(plan);
  EXPECT_EQ(scheduler.plan()[1].sequence, 1u);
}

TEST(Scheduler, TheBackgroundIsNotLetInBeforeAForegroundThatWaits) {
  BlockPool pool(4, kBlock);
  Scheduler scheduler({4, {64}}, pool);
  scheduler.add(1, 32, Lane::foreground);
  scheduler.commit(scheduler.plan());
  scheduler.add(2, 33, Lane::foreground);  // Needs three blocks; one is free.
  scheduler.add(3, 1, Lane::background);
  EXPECT_EQ(scheduler.plan().size(), 1u);
  EXPECT_EQ(scheduler.waiting(), 2);
}

TEST(Scheduler, TheBackgroundGivesUpItsBlocksFirst) {
  BlockPool pool(2, kBlock);
  Scheduler scheduler({2, {64}}, pool);
  scheduler.add(1, 10, Lane::background);
  scheduler.commit(scheduler.plan());
  scheduler.add(2, 15, Lane::foreground);
  while (scheduler.preemptions() == 0) scheduler.commit(scheduler.plan());
  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].sequence, 2u);
}

TEST(Scheduler, PromptsAreCutToTheTimeOfAStep) {
  BlockPool pool(1'000, kBlock);
  Scheduler scheduler({4, {.tokens_max = 1'000, .seconds_max = 0.050, .chunk_tokens_min = 8}},
                      pool);
  const StepModel pace{.base = 0.010, .per_sequence = 0.020, .per_prefill_token = 0.001};
  scheduler.add(1, 40);
  EXPECT_EQ(scheduler.plan(pace).front().tokens, 40);
  scheduler.commit(scheduler.plan(pace));
  scheduler.add(2, 400);
  EXPECT_EQ(scheduler.plan(pace).back().tokens, 20) << "50 ms less 10, less 20 for the decode";
  scheduler.commit(scheduler.plan(pace));
  const StepModel slow{.base = 0.060, .per_sequence = 0.020, .per_prefill_token = 0.001};
  EXPECT_EQ(scheduler.plan(slow).back().tokens, 8);
}

TEST(Scheduler, StepsEndWithATileWherePromptsGoOn) {
  BlockPool pool(1'000, kBlock);
  Scheduler scheduler({4, {.tokens_max = 100, .chunk_tokens_min = 8, .tile_tokens = 16}}, pool);
  scheduler.add(1, 400);
  EXPECT_EQ(scheduler.plan().front().tokens, 96);
  BlockPool other(1'000, kBlock);
  Scheduler small({4, {.tokens_max = 20, .tile_tokens = 16}}, other);
  small.add(1, 400);
  EXPECT_EQ(small.plan().front().tokens, 20) << "two tiles at most take as long as they are";
}

TEST(Scheduler, TheBackgroundFillsTheForegroundsLastTile) {
  BlockPool pool(1'000, kBlock);
  Scheduler scheduler({4, {.tokens_max = 100, .tile_tokens = 16}}, pool);
  scheduler.add(1, 400, Lane::background);
  scheduler.commit(scheduler.plan());
  scheduler.add(2, 40);
  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].sequence, 2u);
  EXPECT_EQ(plan[0].tokens, 40);
  EXPECT_EQ(plan[1].sequence, 1u);
  EXPECT_EQ(plan[1].tokens, 8);
}

TEST(Scheduler, WhatAStepUnderWayMayWriteIsNotGivenAway) {
  BlockPool pool(4, kBlock);
  Scheduler scheduler({4, {64}}, pool);
  scheduler.add(1, 20);
  scheduler.commit(scheduler.plan());
  scheduler.begin(scheduler.plan());
  scheduler.remove(1);
  scheduler.add(2, 33);  // Three blocks, and two are left.
  EXPECT_EQ(pool.blocks_free(), 2);
  EXPECT_TRUE(scheduler.plan().empty());
  scheduler.finish();
  EXPECT_EQ(pool.blocks_free(), 4);
  EXPECT_EQ(scheduler.plan().size(), 1u);
}

TEST(Scheduler, WhoIsEvictedUnderWayReturnsWhenItsTokenIsKnown) {
  BlockPool pool(3, kBlock);
  Scheduler scheduler({2, {64}}, pool);
  scheduler.add(1, 15);
  scheduler.add(2, 14);
  scheduler.commit(scheduler.plan());
  std::vector<std::int32_t> taken;
  ASSERT_TRUE(pool.grow(taken, kBlock));  // The last block.
  scheduler.commit(scheduler.plan());     // 1 wants a second block now.
  scheduler.pause(1, true);
  scheduler.begin(scheduler.plan());
  scheduler.pause(1, false);
  EXPECT_TRUE(scheduler.plan().empty()) << "the block that 2 gives up is still written";
  EXPECT_EQ(scheduler.preemptions(), 1u);
  scheduler.finish();
  const auto plan = scheduler.plan();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].sequence, 1u);
  scheduler.begin(plan);
  scheduler.remove(1);
  scheduler.finish();
  ASSERT_EQ(scheduler.plan().size(), 1u);
  EXPECT_EQ(scheduler.length(2), 17);
}

TEST(Scheduler, NobodyIsPlannedBehindItsLastToken) {
  BlockPool pool(4, kBlock);
  Scheduler scheduler({2, {64}}, pool);
  scheduler.add(1, 5, Lane::foreground, 2);
  scheduler.begin(scheduler.plan());
  EXPECT_EQ(scheduler.plan().size(), 1u);
  scheduler.begin(scheduler.plan());
  EXPECT_TRUE(scheduler.plan().empty());
}

TEST(Scheduler, ServesInOrderOfArrival) {
  BlockPool pool(64, kBlock);
  Scheduler scheduler({2, {8}}, pool);
  for (SequenceId id = 1; id <= 5; ++id) scheduler.add(id, 8);
  std::vector<SequenceId> first_tokens;
  std::map<SequenceId, int> generated;
  for (int turn = 0; turn < 100 && first_tokens.size() < 5; ++turn) {
    const auto plan = scheduler.plan();
    scheduler.commit(plan);
    for (const auto& slice : plan) {
      if (!slice.yields_token) continue;
      if (++generated[slice.sequence] == 1) first_tokens.push_back(slice.sequence);
      if (generated[slice.sequence] == 3) scheduler.remove(slice.sequence);
    }
  }
  EXPECT_EQ(first_tokens, (std::vector<SequenceId>{1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace spillway::local
