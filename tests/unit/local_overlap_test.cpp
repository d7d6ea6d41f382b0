// Steps that begin while the one before runs: the same answers, and nothing of what was begun too
// much.
#include "backends/local/engine/engine.h"
#include "tests/unit/local_device_model.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <random>

namespace spillway::local {
namespace {

namespace net = boost::asio;

struct Answer {
  std::string text;
  int tokens = 0;
  std::optional<FinishReason> finish;
  bool operator==(const Answer&) const = default;
};

net::awaitable<void> read_all(std::shared_ptr<Bridge> from, Answer& into) {
  while (true) {
    auto delta = co_await from->next(soon());
    if (!delta || !*delta) co_return;
    into.text += (*delta)->text;
    if ((*delta)->finish) into.finish = (*delta)->finish;
    if ((*delta)->usage) into.tokens = (*delta)->usage->completion_tokens;
  }
}

Ask ask_for(std::vector<std::int32_t> prompt, int tokens_max) {
  Ask ask;
  ask.prompts = one_prompt(std::move(prompt));
  ask.sampling.temperature = 0;
  ask.tokens_max = tokens_max;
  return ask;
}

// Runs nothing.
struct TiledExecutor final : Executor {
  ExecutorShape shape() const override {
    return {.vocabulary = 26, .context_max = 512, .kv_blocks = 64, .tile_tokens = 16};
  }
  Result<StepResult> run(std::span<const Slice>) override { return StepResult{}; }
};

class Overlap : public ::testing::Test {
 protected:
  void start(NextStep next, int kv_blocks = 64, unsigned end_every = 1 << 30) {
    watch_ = std::make_shared<DeviceWatch>();
    watch_->steps_allowed = steps_allowed_;
    engine_ = std::make_unique<Engine>(
        limits_, StepModel{}, codec_,
        std::make_unique<DeviceExecutor>(watch_, next, kv_blocks, end_every));
  }

  std::shared_ptr<Bridge> submit(Ask ask) {
    auto bridge = engine_->submit(std::move(ask), io_.get_executor());
    EXPECT_TRUE(bridge);
    return bridge ? *bridge : nullptr;
  }

  std::vector<Answer> answers_to(const std::vector<Ask>& asks) {
    std::vector<Answer> answers(asks.size());
    for (std::size_t i = 0; i < asks.size(); ++i) {
      net::co_spawn(io_, read_all(submit(asks[i]), answers[i]), net::detached);
    }
    io_.restart();
    io_.run();
    EXPECT_TRUE(eventually([&] { return idle(); }));
    EXPECT_EQ(watch_->read(&DeviceWatch::problem), "");
    return answers;
  }

  bool idle() const {
    const EngineStatus status = engine_->status();
    return status.running.empty() && status.waiting.empty() &&
           status.kv_tokens_free == status.kv_tokens_total && status.step_elapsed == 0.0;
  }

  EngineLimits limits_;
  int steps_allowed_ = 1 << 30;
  LetterCodec codec_;
  net::io_context io_{1};
  std::shared_ptr<DeviceWatch> watch_;
  std::unique_ptr<Engine> engine_;
};

std::vector<Ask> random_asks(std::mt19937& random) {
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  std::vector<Ask> asks;
  for (int i = 0; i < 14; ++i) {
    std::vector<std::int32_t> prompt(static_cast<std::size_t>(pick(1, 50)));
    for (std::int32_t& token : prompt) token = pick(0, 24);
    asks.push_back(ask_for(std::move(prompt), pick(1, 60)));
    Sampling& sampling = asks.back().sampling;
    if (pick(0, 3) == 0) sampling.stop = {std::string(1, static_cast<char>('a' + pick(0, 24)))};
    if (pick(0, 9) == 0) sampling.frequency_penalty = 0.5;
    if (pick(0, 5) == 0) asks.back().lane = Lane::background;
  }
  return asks;
}

TEST_F(Overlap, AnswersAreThoseOfStepsOneByOne) {
  std::uint64_t preemptions = 0;
  int ahead = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    limits_.sequences_max = 5;
    limits_.step.tokens_max = 24;
    const auto asks = random_asks(random);
    start(NextStep::after_finish, 9, 40);
    const auto expected = answers_to(asks);
    EXPECT_EQ(watch_->read(&DeviceWatch::begun_ahead), 0);
    start(NextStep::at_once, 9, 40);
    EXPECT_EQ(answers_to(asks), expected);
    preemptions += engine_->counters().preemptions;
    ahead += watch_->read(&DeviceWatch::begun_ahead);
    if (HasFailure()) return;
  }
  EXPECT_GT(preemptions, 20u) << "the test was to run out of blocks";
  EXPECT_GT(ahead, 1'000);
}

TEST_F(Overlap, WhatComesAfterTheStopIsNeverSeen) {
  start(NextStep::at_once);
  const auto plain = answers_to({ask_for({1, 2, 3}, 12)});
  const int drawn_before = watch_->read(&DeviceWatch::drawn);
  const auto generated_before = engine_->counters().generated_tokens;
  auto stopped = ask_for({1, 2, 3}, 12);
  stopped.sampling.stop = {plain[0].text.substr(4, 3)};
  const auto answers = answers_to({stopped});
  EXPECT_EQ(answers[0].text, plain[0].text.substr(0, 4));
  EXPECT_EQ(answers[0].finish, FinishReason::stop);
  EXPECT_EQ(answers[0].tokens, 7);
  EXPECT_EQ(engine_->counters().generated_tokens - generated_before, 7u);
  EXPECT_EQ(watch_->read(&DeviceWatch::drawn) - drawn_before, 8) << "one too many was begun";
}

TEST_F(Overlap, NothingIsBegunBehindTheLastToken) {
  start(NextStep::at_once);
  EXPECT_EQ(answers_to({ask_for({1, 2, 3}, 12)})[0].finish, FinishReason::length);
  EXPECT_EQ(watch_->read(&DeviceWatch::begun), 12);
  EXPECT_EQ(watch_->read(&DeviceWatch::begun_ahead), 11);
}

TEST_F(Overlap, WhoIsCancelledIsOutOfTheNextStepThatBegins) {
  steps_allowed_ = 0;
  start(NextStep::at_once, 4);
  auto gone = submit(ask_for({1, 2, 3}, 40));
  auto stays = submit(ask_for({4, 5}, 40));
  watch_->allow(3);  // Both are there before anybody's second step ends.
  ASSERT_TRUE(eventually([&] { return watch_->read(&DeviceWatch::begun) == 5; }));
  EXPECT_EQ(watch_->read(&DeviceWatch::in_last_step).size(), 2u);
  net::post(io_, [&] { gone->abandon(); });
  io_.run();
  watch_->allow(1);
  ASSERT_TRUE(eventually([&] { return watch_->read(&DeviceWatch::begun) == 6; }));
  EXPECT_EQ(watch_->read(&DeviceWatch::in_last_step).size(), 1u);
  watch_->allow(1 << 20);
  Answer answer;
  net::co_spawn(io_, read_all(stays, answer), net::detached);
  io_.restart();
  io_.run();
  EXPECT_EQ(answer.text.size(), 40u);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  EXPECT_EQ(engine_->counters().cancelled, 1u);
  EXPECT_LE(engine_->counters().cancel_steps_max, 2u);
  EXPECT_EQ(watch_->read(&DeviceWatch::problem), "");
}

TEST_F(Overlap, TheStatusIsThatBeforeTheStepUnderWay) {
  steps_allowed_ = 2;
  start(NextStep::at_once);
  auto bridge = submit(ask_for({1, 2, 3}, 9));
  ASSERT_TRUE(eventually([&] { return watch_->read(&DeviceWatch::begun) == 4; }));
  ASSERT_TRUE(eventually([&] { return engine_->counters().steps == 2; }));
  const auto expect = [&](int generated, int context, const char* when) {
    ASSERT_TRUE(eventually([&] {
      const EngineStatus status = engine_->status();
      return status.running.size() == 1 && status.running[0].generated == generated &&
             status.running[0].context_tokens == context && status.running[0].prefill_left == 0;
    })) << when;
  };
  expect(3, 5, "the third step runs, the fourth is made");
  watch_->allow(6);
  ASSERT_TRUE(eventually([&] { return engine_->counters().steps == 8; }));
  expect(8, 10, "the last step runs, and none is made");
  watch_->allow(1);
}

TEST_F(Overlap, StepsAreCutByTheExecutorsTiles) {
  const Engine engine(limits_, StepModel{}, codec_, std::make_unique<TiledExecutor>());
  EXPECT_EQ(engine.status().budget.tile_tokens, 16);
}

TEST(Inbox, AStepThatIsMadeBeginsInTheFuture) {
  Inbox inbox(EngineStatus{});
  inbox.begin_step(SteadyClock::now() + std::chrono::hours(1));
  EXPECT_LT(inbox.status().step_elapsed, -3'000.0);
  inbox.end_step(StepModel{}, SteadyClock::now() - std::chrono::hours(1));
  EXPECT_GT(inbox.status().step_elapsed, 3'000.0);
  inbox.end_step(StepModel{});
  EXPECT_EQ(inbox.status().step_elapsed, 0.0);
}

}  // namespace
}  // namespace spillway::local
