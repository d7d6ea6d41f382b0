// Several engines behind one waiting room: nobody is lost, the bound and the order are of the
// whole, and one that fails takes nobody with it but those it has begun.
#include "backends/contract/dealing.h"
#include "backends/local/engine/choice_outlet.h"
#include "backends/local/engine/replicas.h"
#include "backends/local/engine/synthetic_executor.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>

namespace spillway::local {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;

constexpr StepModel kPace{20e-6, 2e-6, 0.0, 0.2e-6};

// Runs at a pace as the synthetic one does, until it is told to fail.
class Failing final : public Executor {
 public:
  explicit Failing(std::shared_ptr<std::atomic<bool>> fails, int kv_blocks)
      : fails_(std::move(fails)), inner_(kPace, {kSyntheticVocabulary, 4'096, kv_blocks, true}) {}
  ExecutorShape shape() const override { return inner_.shape(); }
  Result<StepResult> run(std::span<const Slice> slices) override {
    if (*fails_) return Error{Errc::internal, "device lost", "", std::nullopt};
    return inner_.run(slices);
  }

 private:
  const std::shared_ptr<std::atomic<bool>> fails_;
  SyntheticExecutor inner_;
};

struct Together {
  explicit Together(int replicas, EngineLimits limits = {}, int kv_blocks = 256) : limits_(limits) {
    std::vector<std::unique_ptr<Executor>> executors;
    for (int i = 0; i < replicas; ++i) {
      fails.push_back(std::make_shared<std::atomic<bool>>(false));
      executors.push_back(std::make_unique<Failing>(fails.back(), kv_blocks));
    }
    door = std::make_unique<Replicas>(limits_, kPace, *codec, std::move(executors),
                                      [this](std::size_t, const Error&) { ++failures; });
  }
  Result<std::shared_ptr<Bridge>> ask(int prompt, int tokens, Lane lane = Lane::foreground,
                                      int choices = 1) {
    Ask one;
    one.prompts = one_prompt(static_cast<std::size_t>(prompt), next_token_++ % kSyntheticWords);
    one.sampling.temperature = 0;
    one.sampling.ignore_eos = true;
    one.tokens_max = tokens;
    one.lane = lane;
    one.owner = "tenant";
    one.choices = choices;
    return door->submit(std::move(one), io.get_executor());
  }
  bool idle() const {
    const EngineStatus status = door->status();
    return status.running.empty() && status.waiting.empty();
  }

  const EngineLimits limits_;
  std::unique_ptr<TextCodec> codec = make_synthetic_codec();
  std::vector<std::shared_ptr<std::atomic<bool>>> fails;
  std::atomic<int> failures = 0;
  net::io_context io{1};
  int next_token_ = 0;
  std::unique_ptr<Replicas> door;
};

TEST(Replicas, NobodyIsLostAndNobodyComesTwiceWhateverTheSchedule) {
  std::mt19937 random(std::random_device{}());
  const auto draw = [&](int low, int high) {
    return std::uniform_int_distribution(low, high)(random);
  };
  for (int round = 0; round < 40; ++round) {
    EngineLimits limits;
    limits.sequences_max = draw(1, 6);
    limits.step.tokens_max = draw(8, 128);
    limits.waiting_max = 1'000;
    limits.prefix_cache = draw(0, 1) == 1;
    Together all(draw(1, 4), limits, draw(24, 96));
    std::vector<std::shared_ptr<Bridge>> bridges;
    std::uint64_t tokens = 0;
    std::uint64_t left = 0;
    for (int i = 0; i < 60; ++i) {
      const int answer = draw(1, 40);
      const auto lane = draw(0, 3) == 0 ? Lane::background : Lane::foreground;
      auto bridge = all.ask(draw(1, 200), answer, lane);
      ASSERT_TRUE(bridge);
      if (draw(0, 5) == 0) {
        (*bridge)->abandon();
        ++left;
      } else {
        tokens += static_cast<std::uint64_t>(answer);
      }
      bridges.push_back(std::move(*bridge));
    }
    ASSERT_TRUE(eventually([&] { return all.idle(); })) << "round " << round;
    const EngineCounters counters = all.door->counters();
    EXPECT_EQ(counters.accepted, 60u);
    EXPECT_EQ(counters.finished + counters.cancelled, 60u);
    EXPECT_LE(counters.cancelled, left);
    EXPECT_EQ(counters.failed + counters.refused, 0u);
    EXPECT_GE(counters.generated_tokens, tokens);
    const EngineStatus status = all.door->status();
    EXPECT_EQ(status.kv_tokens_free, status.kv_tokens_total);
    for (const auto& bridge : bridges) bridge->abandon();
  }
}

TEST(Replicas, TheBoundOfTheQueueIsOfAllTogether) {
  EngineLimits limits;
  limits.sequences_max = 2;
  limits.waiting_max = 3;
  limits.bridge_capacity = 1;  // They stop after a token, and keep their places.
  Together all(2, limits);
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 4 + 3; ++i) {
    auto bridge = all.ask(5, 50);
    ASSERT_TRUE(bridge) << i;
    kept.push_back(std::move(*bridge));
  }
  ASSERT_TRUE(eventually([&] { return all.door->status().running.size() == 4; }));
  EXPECT_EQ(all.door->status().waiting.size(), 3u);
  EXPECT_EQ(all.door->status().sequences_max, 4);
  const auto refused = all.ask(5, 50);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  EXPECT_EQ(all.door->counters().refused, 1u);
  for (const EngineStatus& one : all.door->status().replicas)
    EXPECT_EQ(one.running.size(), 2u) << "none is idle while somebody waits";
  for (const auto& bridge : kept) bridge->abandon();
  EXPECT_TRUE(eventually([&] { return all.idle(); }));
  EXPECT_EQ(all.door->counters().cancelled, 7u);
}

TEST(Replicas, ChoicesStayTogetherWhereTheirPromptIsRead) {
  EngineLimits limits;
  limits.sequences_max = 4;
  Together all(2, limits);
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 10; ++i) kept.push_back(*all.ask(40, 10, Lane::foreground, 3));
  ASSERT_TRUE(eventually([&] { return all.idle(); }));
  const EngineCounters counters = all.door->counters();
  EXPECT_EQ(counters.finished, 30u);
  // Two blocks of sixteen are found, by both that follow.
  EXPECT_EQ(counters.prompt_tokens, 10 * (40u + 2 * 8u));
}

TEST(Replicas, ChoicesThatWaitAreRefusedAndLeaveTogether) {
  EngineLimits limits;
  limits.sequences_max = 1;
  limits.waiting_max = 3;
  limits.bridge_capacity = 1;
  Together all(2, limits);
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 2; ++i) kept.push_back(*all.ask(5, 50));
  ASSERT_TRUE(eventually([&] { return all.door->status().running.size() == 2; }));
  ASSERT_FALSE(all.ask(5, 50, Lane::foreground, 4));
  EXPECT_EQ(all.door->counters().refused, 4u);
  const auto three = all.ask(5, 50, Lane::foreground, 3);
  ASSERT_TRUE(three);
  EXPECT_EQ(all.door->status().waiting.size(), 3u);
  (*three)->abandon();
  EXPECT_TRUE(eventually([&] { return all.door->status().waiting.empty(); }));
  EXPECT_EQ(all.door->counters().cancelled, 3u);
  for (const auto& bridge : kept) bridge->abandon();
}

// Says what follows from all that came before, as far as it finds it in its own KV blocks.
class Recalling final : public Executor {
 public:
  explicit Recalling(std::shared_ptr<std::atomic<int>> steps) : steps_(std::move(steps)) {}
  ExecutorShape shape() const override { return {26, 512, kBlocks, true, false}; }
  Result<StepResult> run(std::span<const Slice> slices) override {
    ++*steps_;
    sampled_.clear();
    for (const Slice& slice : slices) {
      int end = slice.first_position;
      for (const std::int32_t token : slice.tokens) at(slice, end++) = token;
      std::uint32_t said = 7;
      for (int i = 0; i < end; ++i) said = said * 31 + static_cast<std::uint32_t>(at(slice, i));
      for (int i = 0; i < slice.logits_rows; ++i)
        sampled_.push_back(static_cast<std::int32_t>(said % 25));
    }
    std::this_thread::sleep_for(100us);
    return StepResult{{}, sampled_};
  }

 private:
  static constexpr int kBlocks = 64;

  std::int32_t& at(const Slice& slice, int position) {
    const auto block = slice.blocks[static_cast<std::size_t>(position / kBlockTokens)];
    return kv_[static_cast<std::size_t>(block * kBlockTokens + position % kBlockTokens)];
  }

  const std::shared_ptr<std::atomic<int>> steps_;
  std::vector<std::int32_t> kv_ = std::vector<std::int32_t>(kBlocks * kBlockTokens);
  std::vector<std::int32_t> sampled_;
};

// What each choice says, those of the bridge from `first` on.
net::awaitable<void> read_into(Bridge& bridge, std::vector<std::string>& texts, std::size_t first) {
  while (true) {
    const Deadline limit = soon();
    const auto delta = co_await bridge.next(limit);
    if (!delta || !*delta) co_return;
    texts[first + static_cast<std::size_t>((*delta)->choice)] += (*delta)->text;
  }
}

enum class Asked { one_by_one, together };

// Prompts of three families, all at once; what each is answered, in order.
std::vector<std::string> answers_of(int replicas, Asked asked = Asked::one_by_one) {
  constexpr int kPrompts = 60;
  constexpr int kTokens = 20;
  EngineLimits limits;
  limits.sequences_max = 4;
  limits.step.tokens_max = 64;
  if (asked == Asked::together) limits.bridge_capacity = 4;  // Some wait while it reads.
  const LetterCodec codec;
  std::vector<std::shared_ptr<std::atomic<int>>> steps;
  std::vector<std::unique_ptr<Executor>> executors;
  for (int i = 0; i < replicas; ++i) {
    steps.push_back(std::make_shared<std::atomic<int>>(0));
    executors.push_back(std::make_unique<Recalling>(steps.back()));
  }
  net::io_context io{1};
  Replicas door(limits, kPace, codec, std::move(executors), {});
  std::vector<std::vector<std::int32_t>> prompts;
  for (int i = 0; i < kPrompts; ++i) {
    prompts.emplace_back(static_cast<std::size_t>(40 + i), i % 3);
    prompts.back().push_back(i % 25);
  }
  const std::ptrdiff_t to_each = asked == Asked::together ? kPrompts : 1;
  std::vector<std::shared_ptr<Bridge>> bridges;
  for (auto prompt = prompts.begin(); prompt != prompts.end(); prompt += to_each) {
    Ask ask;
    ask.prompts =
        std::make_shared<const std::vector<std::vector<std::int32_t>>>(prompt, prompt + to_each);
    ask.sampling.temperature = 0;
    ask.tokens_max = kTokens;
    bridges.push_back(*door.submit(std::move(ask), io.get_executor()));
  }
  std::vector<std::string> answers(kPrompts);
  for (std::size_t i = 0; i < bridges.size(); ++i)
    net::co_spawn(io, read_into(*bridges[i], answers, i * static_cast<std::size_t>(to_each)),
                  net::detached);
  io.run();
  for (const auto& count : steps) EXPECT_GT(*count, 0);
  for (const std::string& answer : answers) EXPECT_EQ(answer.size(), std::size_t{kTokens});
  return answers;
}

class SeveralReplicas : public testing::TestWithParam<int> {};

TEST_P(SeveralReplicas, SayWhatOneSays) { EXPECT_EQ(answers_of(GetParam()), answers_of(1)); }

TEST_P(SeveralReplicas, ShareThePromptsOfOneRequest) {
  EXPECT_EQ(answers_of(GetParam(), Asked::together), answers_of(1));
}

INSTANTIATE_TEST_SUITE_P(Numbers, SeveralReplicas, testing::Values(2, 3, 4));

net::awaitable<void> read_usages(Bridge& bridge, std::vector<Usage>& told) {
  while (true) {
    const Deadline limit = soon();
    const auto delta = co_await bridge.next(limit);
    if (!delta || !*delta) co_return;
    if ((*delta)->usage) told.push_back(*(*delta)->usage);
  }
}

// Of engines of their own, each tells its usage before any of them has finished.
TEST(Replicas, TheUsageOfAllChoicesIsToldOnceWhoeverFinishesLast) {
  net::io_context io{1};
  const auto bridge = std::make_shared<Bridge>(io.get_executor(), 16, [] {});
  const auto ends = divide(bridge, 2, 1, [] {});
  for (const auto& end : ends) {
    Delta last;
    last.finish = FinishReason::stop;
    last.usage = Usage{.prompt_tokens = 3, .completion_tokens = 2};
    end->push(std::move(last));
  }
  for (const auto& end : ends) end->finish();
  std::vector<Usage> told;
  net::co_spawn(io, read_usages(*bridge, told), net::detached);
  io.run();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].prompt_tokens, 6);
  EXPECT_EQ(told[0].completion_tokens, 4);
}

TEST(Replicas, OneThatFailsLeavesTheOthersServing) {
  EngineLimits limits;
  limits.sequences_max = 2;
  Together all(2, limits);
  *all.fails[0] = true;
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 20; ++i) {
    auto bridge = all.ask(50, 20);
    ASSERT_TRUE(bridge) << i;
    kept.push_back(std::move(*bridge));
  }
  ASSERT_TRUE(eventually([&] { return all.idle(); }));
  EXPECT_EQ(all.failures, 1);
  const EngineCounters counters = all.door->counters();
  EXPECT_EQ(counters.finished + counters.failed, 20u);
  EXPECT_GE(counters.failed, 1u);
  EXPECT_LE(counters.failed, 2u) << "those it had begun with";
  const EngineStatus status = all.door->status();
  EXPECT_TRUE(status.ready);
  EXPECT_EQ(status.engines(), 1);
  EXPECT_EQ(status.sequences_max, 2);

  *all.fails[1] = true;
  auto last = all.ask(5, 5);
  ASSERT_TRUE(last);
  ASSERT_TRUE(eventually([&] { return !all.door->status().ready; }));
  const auto refused = all.ask(5, 5);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backend_unavailable);
}

TEST(Replicas, WhatOneFailsWithNoOtherAnswersForNobody) {
  constexpr int kTokens = 3'000;
  EngineLimits limits;
  limits.sequences_max = 1;
  limits.bridge_capacity = kTokens;
  Together all(2, limits);
  Ask two;
  two.prompts = std::make_shared<const std::vector<std::vector<std::int32_t>>>(
      std::vector<std::vector<std::int32_t>>{{1, 2, 3}, {4, 5, 6}});
  two.sampling.ignore_eos = true;
  two.tokens_max = kTokens;
  const auto bridge = all.door->submit(std::move(two), all.io.get_executor());
  ASSERT_TRUE(bridge);
  ASSERT_TRUE(eventually([&] { return all.door->status().running.size() == 2; }));
  *all.fails[0] = true;
  ASSERT_TRUE(eventually([&] { return all.idle(); }));
  const EngineCounters counters = all.door->counters();
  EXPECT_EQ(counters.failed, 1u);
  EXPECT_EQ(counters.cancelled, 1u) << "its sibling, though its client still reads";
}

// Of several engines one that has failed is rung on, for as long as the others serve.
TEST(Inbox, OneThatHasFailedKeepsNoRings) {
  Inbox inbox({});
  inbox.ring(1);
  (void)inbox.fail();
  for (int i = 0; i < 1'000; ++i) inbox.ring(0);
  EXPECT_TRUE(inbox.take({}).rings.empty());
}

TEST(Replicas, WhoWaitsIsServedBeforeTheEndOfADrain) {
  EngineLimits limits;
  limits.sequences_max = 1;
  Together all(2, limits);
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 10; ++i) kept.push_back(*all.ask(5, 10));
  all.door->stop(SteadyClock::now() + 10s);
  EXPECT_EQ(all.door->counters().finished, 10u);
}

EngineStatus engine_with(int running, int sequences_max = 8) {
  EngineStatus engine;
  engine.ready = true;
  engine.sequences_max = sequences_max;
  engine.kv_tokens_free = engine.kv_tokens_total = 4'096;
  engine.step = {10e-3, 0.1e-3, 0.0, 0.1e-3};
  for (int i = 0; i < running; ++i) engine.running.push_back({0, 64, 1, 100});
  return engine;
}

TEST(Dealing, ACachedPrefixIsWorthWhatReadingItTakes) {
  // Six more who run cost 256 · 6 · 0.1 ms, as much as reading 1,536 tokens.
  const std::vector<EngineStatus> engines{engine_with(6), engine_with(0)};
  const Dealing dealing(engines);
  const SequenceStatus prompt{.prefill_left = 2'000, .tokens_max = 256};
  EXPECT_EQ(dealing.taker(prompt), 1u);
  EXPECT_EQ(dealing.taker(prompt, std::vector{1'552, 0}), 0u);
  EXPECT_EQ(dealing.taker(prompt, std::vector{1'520, 0}), 1u);
}

TEST(Dealing, OnlyWhoHasAPlaceTakesAnybody) {
  const std::vector<EngineStatus> engines{engine_with(8), engine_with(7)};
  Dealing dealing(engines);
  const SequenceStatus prompt{.prefill_left = 100, .tokens_max = 10};
  EXPECT_EQ(dealing.taker(prompt, std::vector{96, 0}), 1u);
  dealing.give(1, prompt);
  EXPECT_FALSE(dealing.taker(prompt));
}

TEST(Dealing, APredictionSeesOneEngineAndItsShareOfThoseWhoWait) {
  EngineStatus whole = engine_with(16);
  whole.replicas = {engine_with(8), engine_with(8)};
  for (int i = 0; i < 10; ++i) whole.waiting.push_back({100, 0, 0, 100});
  const EngineStatus one = next_engine(whole);
  EXPECT_EQ(one.running.size(), 8u);
  EXPECT_EQ(one.waiting.size(), 5u);
}

TEST(Dealing, WhoLostItsBlocksWaitsForItsOwnEngineAndCountsOnce) {
  EngineStatus whole = engine_with(16);
  whole.replicas = {engine_with(8), engine_with(8)};
  const SequenceStatus preempted{700, 0, 5, 100};
  for (EngineStatus& one : whole.replicas) {
    one.waiting = {preempted};
    queue_up(whole.waiting, preempted);
  }
  for (int i = 0; i < 4; ++i) queue_up(whole.waiting, {100, 0, 0, 100});
  const EngineStatus one = next_engine(whole);
  ASSERT_EQ(one.waiting.size(), 3u);
  EXPECT_EQ(one.waiting[0].prefill_left, 700);
  EXPECT_EQ(one.waiting[1].prefill_left, 100);
  EXPECT_EQ(one.waiting[2].prefill_left, 100);
}

}  // namespace
}  // namespace spillway::local
