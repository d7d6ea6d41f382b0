// predict() against the engine's own scheduler, stepped one step at a time from random states, and
// its arithmetic.
#include "backends/local/kv/block_pool.h"
#include "backends/local/sched/scheduler.h"
#include "gateway/policy/predict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

namespace spillway::policy {
namespace {

using local::BlockPool;
using local::ScheduledSlice;
using local::Scheduler;
using local::SequenceId;

constexpr int kBlockTokens = 16;

// The engine thread's loop around the real scheduler, on a clock of step times.
class SteppedEngine {
 public:
  SteppedEngine(int sequences_max, StepBudget budget, int kv_blocks, StepModel step)
      : pool_(kv_blocks, kBlockTokens),
        scheduler_({sequences_max, budget}, pool_),
        step_(step),
        sequences_max_(sequences_max),
        budget_(budget) {}

  SequenceId add(int prompt_tokens, int tokens_max, Lane lane) {
    const SequenceId id = next_id_++;
    scheduler_.add(id, prompt_tokens, lane);
    limits_[id] = {prompt_tokens, tokens_max};
    return id;
  }

  // Plans a step without running it: the engine's state while the step is under way.
  bool begin_step() {
    plan_ = scheduler_.plan(step_);
    return !plan_.empty();
  }

  double step_seconds() const {
    double sequences = 0.0, context = 0.0, prefill = 0.0;
    for (const ScheduledSlice& slice : plan_) {
      if (slice.tokens > 1 || generated(slice.sequence) == 0) {
        prefill += slice.tokens;
        continue;
      }
      sequences += 1.0;
      context += slice.first_position + 1;
    }
    return step_.seconds(sequences, context, prefill);
  }

  void end_step() {
    now_ += step_seconds();
    scheduler_.commit(plan_);
    for (const ScheduledSlice& slice : plan_) {
      if (!slice.yields_token) continue;
      first_token_.try_emplace(slice.sequence, now_);
      if (generated(slice.sequence) < limits_[slice.sequence].tokens_max) continue;
      scheduler_.remove(slice.sequence);
      finished_[slice.sequence] = now_;
    }
  }

  EngineStatus status() const {
    EngineStatus status;
    status.ready = true;
    status.sequences_max = sequences_max_;
    status.budget = budget_;
    status.waiting_max = 1'000'000;
    status.kv_tokens_total = pool_.blocks_total() * kBlockTokens;
    status.kv_tokens_free = pool_.blocks_free() * kBlockTokens;
    status.context_max = status.kv_tokens_total;
    status.step = step_;
    for (const local::SequenceProgress& progress : scheduler_.progress()) {
      const int left = progress.length - progress.computed;
      const int made = generated(progress.sequence);
      const SequenceStatus sequence{left == 1 && made > 0 ? 0 : left, progress.computed, made,
                                    limits_.at(progress.sequence).tokens_max, progress.lane};
      (progress.running ? status.running : status.waiting).push_back(sequence);
    }
    return status;
  }

  bool finished(SequenceId id) const { return finished_.count(id) > 0; }
  double first_token(SequenceId id) const { return first_token_.at(id); }
  double finish(SequenceId id) const { return finished_.at(id); }
  double now() const { return now_; }
  std::uint64_t preemptions() const { return scheduler_.preemptions(); }

 private:
  struct Limit {
    int prompt_tokens = 0;
    int tokens_max = 0;
  };

  int generated(SequenceId id) const {
    return finished(id) ? limits_.at(id).tokens_max
                        : scheduler_.length(id) - limits_.at(id).prompt_tokens;
  }

  BlockPool pool_;
  Scheduler scheduler_;
  StepModel step_;
  int sequences_max_;
  StepBudget budget_;
  SequenceId next_id_ = 1;
  std::map<SequenceId, Limit> limits_;
  std::map<SequenceId, double> first_token_;
  std::map<SequenceId, double> finished_;
  std::vector<ScheduledSlice> plan_;
  double now_ = 0.0;
};

struct Scenario {
  int sequences_max;
  StepBudget budget;
  int kv_blocks;
  int arrivals;
  int steps;
  int prompt_max;
  int answer_max;
  double background;  // Share of the sequences.
};

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  int in(int low, int high) { return std::uniform_int_distribution(low, high)(engine_); }
  double share() { return std::uniform_real_distribution(0.0, 1.0)(engine_); }

 private:
  std::mt19937 engine_;
};

Scenario roll(Dice& dice) {
  Scenario scenario;
  scenario.sequences_max = dice.in(1, 24);
  scenario.budget.tokens_max = dice.in(scenario.sequences_max, 512);
  if (dice.share() < 0.5) scenario.budget.seconds_max = 0.1 * dice.share();
  scenario.budget.chunk_tokens_min = dice.in(1, 64);
  if (dice.share() < 0.5) scenario.budget.tile_tokens = dice.in(1, 128);
  scenario.kv_blocks = dice.in(400, 4'000);
  scenario.arrivals = dice.in(0, 60);
  scenario.steps = dice.in(0, 80);
  scenario.prompt_max = dice.in(1, 600);
  scenario.answer_max = dice.in(1, 120);
  scenario.background = dice.share() < 0.5 ? 0.0 : dice.share();
  return scenario;
}

StepModel roll_step_model(Dice& dice) {
  return {dice.share() * 0.02, dice.share() * 0.003, dice.share() * 2e-6, dice.share() * 1e-3, 1};
}

// The state of an engine after some traffic, in the middle of a step or before one; then one more
// request, whose real times the stepped engine finds out.
void compare_once(unsigned seed, int& compared) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Dice dice(seed);
  const Scenario scenario = roll(dice);
  const StepModel step = roll_step_model(dice);
  SteppedEngine engine(scenario.sequences_max, scenario.budget, scenario.kv_blocks, step);
  const auto roll_lane = [&] {
    return dice.share() < scenario.background ? Lane::background : Lane::foreground;
  };
  for (int i = 0; i < scenario.arrivals; ++i) {
    engine.add(dice.in(1, scenario.prompt_max), dice.in(1, scenario.answer_max), roll_lane());
    if (dice.share() < 0.3 && engine.begin_step()) engine.end_step();
  }
  for (int i = 0; i < scenario.steps && engine.begin_step(); ++i) engine.end_step();

  const bool in_step = dice.share() < 0.7 && engine.begin_step();
  EngineStatus status = engine.status();
  const double elapsed = in_step ? dice.share() * engine.step_seconds() : 0.0;
  status.step_elapsed = elapsed;
  const double asked_at = engine.now() + elapsed;
  const Ask ask{dice.in(1, scenario.prompt_max), 1.0 * dice.in(1, scenario.answer_max), 0.0,
                roll_lane()};
  const SequenceId own =
      engine.add(ask.prompt_tokens, static_cast<int>(ask.completion_tokens), ask.lane);
  if (in_step) engine.end_step();
  while (!engine.finished(own) && engine.begin_step()) engine.end_step();
  if (engine.preemptions() > 0) return;
  ++compared;

  const Prediction prediction = predict(status, ask);
  const double ttft = engine.first_token(own) - asked_at;
  const double finish = engine.finish(own) - asked_at;
  EXPECT_TRUE(prediction.exact);
  EXPECT_NEAR(prediction.ttft, ttft, 1e-9 + 1e-6 * ttft);
  EXPECT_NEAR(prediction.finish, finish, 1e-9 + 1e-6 * finish);
  EXPECT_NEAR(prediction.ttft_by(status.step), prediction.ttft_model, 1e-9 + 1e-6 * ttft);
}

TEST(Predict, AgreesWithTheSchedulerOnRandomStates) {
  int compared = 0;
  for (unsigned seed = 1; seed <= 1'000 && !testing::Test::HasFailure(); ++seed) {
    compare_once(seed, compared);
  }
  EXPECT_GE(compared, 950);
}

EngineStatus idle_engine() {
  EngineStatus engine;
  engine.ready = true;
  engine.sequences_max = 4;
  engine.budget.tokens_max = 100;
  engine.waiting_max = 64;
  engine.kv_tokens_total = engine.kv_tokens_free = 16'000;
  engine.context_max = 4'000;
  engine.step = {.base = 0.010, .per_sequence = 0.001, .per_prefill_token = 0.0001};
  return engine;
}

TEST(Predict, AnIdleEngineReadsThePromptInChunks) {
  // 250 tokens are chunks of 100, 100 and 50; then nine more tokens at 11 ms.
  const Prediction prediction = predict(idle_engine(), {250, 10.0});
  EXPECT_NEAR(prediction.ttft, 3 * 0.010 + 250 * 0.0001, 1e-12);
  EXPECT_NEAR(prediction.per_token, 0.011, 1e-12);
  EXPECT_NEAR(prediction.finish, prediction.ttft + 9 * 0.011, 1e-12);
  EXPECT_EQ(prediction.queue, 0.0);
}

TEST(Predict, WhoComeBehindItFillUpItsLastStep) {
  Ask ask{250, 1.0};
  ask.following_tokens = 20;
  EXPECT_NEAR(predict(idle_engine(), ask).ttft, 3 * 0.010 + 270 * 0.0001, 1e-12);
  ask.following_tokens = 500;
  EXPECT_NEAR(predict(idle_engine(), ask).ttft, 3 * 0.010 + 300 * 0.0001, 1e-12);
}

TEST(Predict, CanTellWhatItsStepsWouldCostByAnotherModel) {
  StepModel slower = idle_engine().step;
  slower.per_prefill_token *= 3.0;
  EXPECT_NEAR(predict(idle_engine(), {250, 10.0}).ttft_by(slower), 3 * 0.010 + 250 * 0.0003, 1e-12);
}

TEST(Predict, TheStepUnderWayIsWaitedForAndNotJoined) {
  EngineStatus engine = idle_engine();
  engine.running.push_back(
      {.prefill_left = 0, .context_tokens = 50, .generated = 1, .tokens_max = 90});
  engine.step_elapsed = 0.004;
  const Prediction prediction = predict(engine, {40, 1.0});
  EXPECT_NEAR(prediction.queue, 0.011 - 0.004, 1e-12);
  EXPECT_NEAR(prediction.ttft, 0.007 + 0.011 + 40 * 0.0001, 1e-12);
}

TEST(Predict, AStepThatIsMadeAndBeginsLaterIsWaitedForWhole) {
  EngineStatus engine = idle_engine();
  engine.running.push_back(
      {.prefill_left = 0, .context_tokens = 50, .generated = 1, .tokens_max = 90});
  engine.step_elapsed = -0.002;
  const Prediction prediction = predict(engine, {40, 1.0});
  EXPECT_NEAR(prediction.queue, 0.002 + 0.011, 1e-12);
  EXPECT_NEAR(prediction.ttft, 0.013 + 0.011 + 40 * 0.0001, 1e-12);
}

TEST(Predict, AStepThatTakesLongerThanItsModelEndsNow) {
  EngineStatus engine = idle_engine();
  engine.running.push_back(
      {.prefill_left = 0, .context_tokens = 50, .generated = 1, .tokens_max = 90});
  engine.step_elapsed = 5.0;
  EXPECT_NEAR(predict(engine, {40, 1.0}).queue, 0.0, 1e-12);
}

TEST(Predict, AFullBatchIsWaitedForUntilAnAnswerEnds) {
  EngineStatus engine = idle_engine();
  for (int left : {30, 20, 5, 40}) {
    engine.running.push_back({.context_tokens = 50, .generated = 10, .tokens_max = 10 + left});
  }
  const Prediction prediction = predict(engine, {100, 1.0});
  EXPECT_NEAR(prediction.queue, 5 * 0.014, 1e-12);
  EXPECT_EQ(prediction.queue_moves, prediction.queue);
}

TEST(Predict, AnswersAreExpectedToEndAsThoseOfLateDid) {
  EngineStatus engine = idle_engine();
  for (int i = 0; i < 4; ++i) {
    engine.running.push_back({.context_tokens = 50, .generated = 10, .tokens_max = 1'000});
  }
  AnswerLength length;
  for (int i = 0; i < 100; ++i) length.observe({0, 50}, 30 + i % 40);
  Ask ask{100, 1.0};
  EXPECT_NEAR(predict(engine, ask).queue, 990 * 0.014, 1e-9) << "nothing is known: the limit";
  ask.remaining = length.remaining();
  const double queue = predict(engine, ask).queue;
  EXPECT_GT(queue, 5 * 0.014) << "none ended before 30 tokens, the first of four soon after";
  EXPECT_LT(queue, 40 * 0.014);
}

TEST(Predict, TheCorrectionScalesTheFirstTokenOnly) {
  const Prediction prediction = predict(idle_engine(), {250, 10.0}, 2.0);
  EXPECT_NEAR(prediction.ttft, 2.0 * prediction.ttft_model, 1e-12);
  EXPECT_NEAR(prediction.per_token, 0.011, 1e-12);
  EXPECT_NEAR(prediction.finish, prediction.ttft + 9 * 0.011, 1e-12);
}

TEST(Predict, WhatNeverFitsNeverComes) {
  EngineStatus engine = idle_engine();
  engine.kv_tokens_total = engine.kv_tokens_free = 200;
  const Prediction prediction = predict(engine, {201, 10.0});
  EXPECT_TRUE(std::isinf(prediction.ttft));
  EXPECT_TRUE(std::isinf(prediction.finish));
}

TEST(Predict, PastTheHorizonItExtrapolatesWithinReason) {
  EngineStatus engine = idle_engine();
  Dice dice(7);
  for (int i = 0; i < 300; ++i) {
    engine.waiting.push_back({.prefill_left = dice.in(20, 400), .tokens_max = dice.in(10, 60)});
  }
  const Prediction whole = predict(engine, {100, 10.0});
  const Prediction cut = predict(engine, {100, 10.0}, 1.0, 2.0);
  EXPECT_TRUE(whole.exact);
  EXPECT_FALSE(cut.exact);
  EXPECT_GT(cut.ttft, 2.0);
  EXPECT_NEAR(cut.ttft / whole.ttft, 1.0, 0.5);
}

}  // namespace
}  // namespace spillway::policy
