#include "backends/local/kv/block_pool.h"
#include "backends/local/sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

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

// A world that checks every promise of the scheduler at every step of a random schedule. With
// `overlap` a step is planned before the one under way is finished.
class RandomWorld {
 public:
  RandomWorld(unsigned seed, bool overlap)
      : overlap_(overlap), random_(seed), pool_(pick(4, 24), kBlock), limits_{pick(1, 6), {}} {
    limits_.step.tokens_max = limits_.sequences_max + pick(0, 40);
    scheduler_ = std::make_unique<Scheduler>(limits_, pool_);
  }

  void run() {
    for (int turn = 0; turn < 200; ++turn) {
      if (turn < 120 && pick(0, 2) == 0) arrive();
      if (pick(0, 9) == 0) cancel_one();
      if (pick(0, 9) == 0) pause_one();
      step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (auto& [id, life] : lives_) {
      life.paused = false;
      scheduler_->pause(id, false);
    }
    for (int turn = 0; turn < 20'000 && !lives_.empty(); ++turn) step();
    ASSERT_TRUE(lives_.empty()) << "somebody was lost or starved";
    while (!under_way_.empty()) finish();
    ASSERT_EQ(pool_.blocks_free(), pool_.blocks_total()) << "blocks leaked";
  }

 private:
  struct Life {
    int length = 0;    // Tokens it has, steps under way included.
    int computed = 0;  // In its blocks.
    int ends_at = 0;
    bool paused = false;
    int known = 0;  // Tokens of steps that are finished.
  };

  struct Step {
    std::vector<ScheduledSlice> plan;
    std::map<std::int32_t, SequenceId> writer;  // Of each block.
  };

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void arrive() {
    const int capacity = pool_.blocks_total() * kBlock;
    const int prompt = pick(1, capacity - 1);
    const int length_max = pick(prompt + 1, capacity);
    lives_[++last_id_] = {prompt, 0, pick(prompt + 1, length_max), false, prompt};
    scheduler_->add(last_id_, prompt, pick(0, 1) == 0 ? Lane::foreground : Lane::background,
                    length_max - prompt);
  }

  SequenceId any() {
    auto chosen = lives_.begin();
    std::advance(chosen, pick(0, static_cast<int>(lives_.size()) - 1));
    return chosen->first;
  }

  void cancel_one() {
    if (lives_.empty()) return;
    const SequenceId id = any();
    const int before = pool_.blocks_free();
    const int held = static_cast<int>(scheduler_->blocks(id).size());
    scheduler_->remove(id);
    if (under_way_.empty()) {
      ASSERT_EQ(pool_.blocks_free(), before + held);
    }
    lives_.erase(id);
  }

  void pause_one() {
    if (lives_.empty()) return;
    const SequenceId id = any();
    lives_[id].paused = !lives_[id].paused;
    scheduler_->pause(id, lives_[id].paused);
  }

  void step() {
    const auto plan = scheduler_->plan();
    check(plan);
    if (::testing::Test::HasFatalFailure()) return;
    if (!plan.empty()) begin(plan);
    const std::size_t stay = overlap_ && !plan.empty() ? 1 : 0;
    while (under_way_.size() > stay) finish();
  }

  void begin(const std::vector<ScheduledSlice>& plan) {
    Step step{plan, {}};
    scheduler_->begin(plan);
    for (const ScheduledSlice& slice : plan) {
      Life& life = lives_.at(slice.sequence);
      life.computed += slice.tokens;
      if (slice.yields_token) ++life.length;
      for (const std::int32_t block : scheduler_->blocks(slice.sequence)) {
        step.writer[block] = slice.sequence;
      }
    }
    under_way_.push_back(std::move(step));
  }

  // A sequence whose last token this was is over, whatever has begun since.
  void finish() {
    const Step step = std::move(under_way_.front());
    under_way_.pop_front();
    scheduler_->finish();
    for (const ScheduledSlice& slice : step.plan) {
      const auto life = lives_.find(slice.sequence);
      if (life == lives_.end() || !slice.yields_token) continue;
      if (++life->second.known < life->second.ends_at) continue;
      scheduler_->remove(slice.sequence);
      lives_.erase(life);
    }
  }

  void check(const std::vector<ScheduledSlice>& plan) {
    int tokens = 0;
    std::set<SequenceId> seen;
    for (const ScheduledSlice& slice : plan) {
      Life& life = lives_.at(slice.sequence);
      tokens += slice.tokens;
      ASSERT_TRUE(seen.insert(slice.sequence).second);
      ASSERT_FALSE(life.paused);
      if (slice.first_position != life.computed) {
        ASSERT_EQ(slice.first_position, 0) << "only a preempted sequence starts again";
        life.computed = 0;
      }
      const int end = slice.first_position + slice.tokens;
      ASSERT_LE(end, life.length);
      ASSERT_EQ(slice.yields_token, end == life.length);
      ASSERT_GE(static_cast<int>(scheduler_->blocks(slice.sequence).size()) * kBlock, end);
      check_writers(slice.sequence);
    }
    ASSERT_LE(tokens, limits_.step.tokens_max);
    ASSERT_LE(scheduler_->running(), limits_.sequences_max);
    check_blocks();
  }

  void check_writers(SequenceId id) {
    for (const Step& step : under_way_) {
      for (const std::int32_t block : scheduler_->blocks(id)) {
        const auto writer = step.writer.find(block);
        ASSERT_TRUE(writer == step.writer.end() || writer->second == id) << "block " << block;
      }
    }
  }

  void check_blocks() {
    std::set<std::int32_t> held;
    int count = 0;
    for (const auto& [id, life] : lives_) {
      for (const std::int32_t block : scheduler_->blocks(id)) {
        ++count;
        ASSERT_TRUE(held.insert(block).second) << "two sequences share block " << block;
      }
    }
    ASSERT_LE(count + pool_.blocks_free(), pool_.blocks_total());
    if (under_way_.empty()) {
      ASSERT_EQ(count + pool_.blocks_free(), pool_.blocks_total());
    }
    ASSERT_EQ(scheduler_->progress().size(), lives_.size());
  }

  const bool overlap_;
  std::mt19937 random_;
  BlockPool pool_;
  SchedulerLimits limits_;
  std::unique_ptr<Scheduler> scheduler_;
  std::map<SequenceId, Life> lives_;
  std::deque<Step> under_way_;
  SequenceId last_id_ = 0;
};

TEST(Scheduler, KeepsItsPromisesOverRandomSchedules) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    for (const bool overlap : {false, true}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (overlap ? ", overlapping" : ""));
      RandomWorld(seed, overlap).run();
      if (HasFatalFailure()) return;
    }
  }
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
