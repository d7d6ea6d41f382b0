// Whose the engine's time was: each sequence tells its share of the steps that it was in.
#include "backends/local/engine/engine.h"
#include "backends/local/engine/synthetic_executor.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

namespace spillway::local {
namespace {

namespace net = boost::asio;
using std::chrono::nanoseconds;

constexpr ExecutorShape kShape{
    .vocabulary = kSyntheticVocabulary, .context_max = 4096, .kv_blocks = 1024};

// What is asked of an engine of that pace, all at once: each answer's time, in that order.
class EngineTime : public ::testing::Test {
 protected:
  void start(StepModel pace) {
    EngineLimits limits;
    limits.step.tokens_max = 2048;
    limits.prefix_cache = false;
    engine_ = std::make_unique<Engine>(limits, pace, *codec_,
                                       std::make_unique<SyntheticExecutor>(pace, kShape));
  }

  struct Question {
    std::size_t prompt_tokens;
    int answer_tokens;
    int choices = 1;
  };

  // Of the first piece of an answer to so long a prompt.
  Delta first_told(std::size_t prompt_tokens) {
    Delta first;
    Ask ask{one_prompt(prompt_tokens, 1), {}, 1};
    auto bridge = engine_->submit(std::move(ask), io_.get_executor());
    EXPECT_TRUE(bridge);
    net::co_spawn(io_, take_first(*bridge, first), net::detached);
    io_.run();
    return first;
  }

  std::vector<double> seconds_of(const std::vector<Question>& questions) {
    std::vector<nanoseconds> times(questions.size());
    for (std::size_t i = 0; i < questions.size(); ++i) {
      Ask ask{one_prompt(questions[i].prompt_tokens, 1), {}, questions[i].answer_tokens};
      ask.sampling.ignore_eos = true;
      ask.choices = questions[i].choices;
      auto bridge = engine_->submit(std::move(ask), io_.get_executor());
      EXPECT_TRUE(bridge);
      net::co_spawn(io_, add_up(*bridge, times[i]), net::detached);
    }
    io_.run();
    std::vector<double> seconds;
    for (const nanoseconds time : times) seconds.push_back(static_cast<double>(time.count()) / 1e9);
    return seconds;
  }

  // A step is counted when its last piece is told: at the end, all are.
  double of_all_steps() {
    engine_->stop(SteadyClock::now());
    return engine_->counters().step_seconds.sum;
  }

 private:
  static net::awaitable<void> add_up(std::shared_ptr<Bridge> bridge, nanoseconds& time) {
    while (true) {
      auto delta = co_await bridge->next(soon());
      if (!delta || !*delta) co_return;
      time += (*delta)->engine_time;
    }
  }

  static net::awaitable<void> take_first(std::shared_ptr<Bridge> bridge, Delta& first) {
    auto delta = co_await bridge->next(soon());
    if (delta && *delta) first = **delta;
  }

  net::io_context io_{1};
  const std::unique_ptr<TextCodec> codec_ = make_synthetic_codec();
  std::unique_ptr<Engine> engine_;
};

double sum_of(const std::vector<double>& seconds) {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

TEST_F(EngineTime, WhatAllTookIsWhatTheStepsTook) {
  start({.base = 0.016, .per_sequence = 0.002, .per_prefill_token = 1e-5});
  const auto seconds = seconds_of(std::vector<Question>(8, {100, 20}));
  EXPECT_LE(sum_of(seconds), of_all_steps());
  EXPECT_GT(sum_of(seconds), 0.9 * of_all_steps());
  for (const double one : seconds) EXPECT_NEAR(one, of_all_steps() / 8, of_all_steps() / 16);
}

TEST_F(EngineTime, ChoicesOfOneAnswerTakeNoMoreThanTheSteps) {
  start({.base = 0.016, .per_sequence = 0.002, .per_prefill_token = 1e-5});
  const auto seconds = seconds_of({{.prompt_tokens = 100, .answer_tokens = 20, .choices = 8}});
  EXPECT_LE(seconds[0], of_all_steps());
  EXPECT_GT(seconds[0], 0.9 * of_all_steps());
}

TEST_F(EngineTime, WhoReadsALongPromptTakesItsTime) {
  start({.base = 0.001, .per_sequence = 0.0001, .per_prefill_token = 2e-4});
  const auto seconds = seconds_of(
      {{.prompt_tokens = 16, .answer_tokens = 40}, {.prompt_tokens = 3000, .answer_tokens = 1}});
  EXPECT_GT(seconds[1], 0.9 * 3000 * 2e-4);
  EXPECT_LT(seconds[0], 0.5 * seconds[1]) << "it was in all of the other's steps";
}

TEST_F(EngineTime, IsToldWhileAPromptIsRead) {
  start({.base = 0.001, .per_sequence = 0.0001, .per_prefill_token = 5e-5});
  const Delta first = first_told(3000);
  EXPECT_GT(first.engine_time, nanoseconds(2048 * 50'000) * 9 / 10);
  EXPECT_TRUE(first.text.empty());
  EXPECT_FALSE(first.finish);
}

}  // namespace
}  // namespace spillway::local
