// The engine thread by itself, and the synthetic executor behind the backend's door.
#include "backends/local/engine/engine.h"
#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/local_backend.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace spillway::local {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;

// The engine by itself, where the Bridge's size matters.
TEST(Inbox, APictureMadeBeforeASequenceCameDoesNotHideIt) {
  EngineStatus initial;
  initial.ready = true;
  initial.waiting_max = 4;
  Inbox inbox(initial);
  NewSequence sequence;
  sequence.prompt = std::make_shared<const std::vector<std::int32_t>>(9, 0);
  sequence.tokens_max = 3;
  ASSERT_TRUE(inbox.submit({sequence}));
  inbox.publish({}, {}, 160);
  ASSERT_EQ(inbox.status().waiting.size(), 1u);
  EXPECT_EQ(inbox.status().waiting[0].prefill_left, 9);
  EXPECT_EQ(inbox.take({}).arrivals.size(), 1u);
  inbox.publish({}, {}, 160);
  EXPECT_TRUE(inbox.status().waiting.empty());
}

TEST(Engine, ASlowClientIsParkedAndThenDropped) {
  net::io_context io(1);
  LetterCodec codec;
  EngineLimits limits;
  limits.bridge_capacity = 4;
  limits.slow_client = 30ms;
  auto gate = std::make_shared<LetterExecutor::Gate>();
  Engine engine(limits, StepModel{}, codec, std::make_unique<LetterExecutor>(gate));
  Sampling greedy;
  greedy.temperature = 0;
  greedy.ignore_eos = true;
  const auto prompt = one_prompt(5, 0);
  auto slow = engine.submit({prompt, greedy, 300}, io.get_executor());
  ASSERT_TRUE(slow);
  ASSERT_TRUE(eventually([&] { return engine.counters().failed == 1; }));
  EXPECT_EQ(engine.counters().generated_tokens, 4u) << "parked when four pieces were not read";
  EXPECT_TRUE(eventually([&] { return engine.status().running.empty(); }));

  std::optional<Errc> code;
  auto consume = [](std::shared_ptr<Bridge> bridge,
                    std::optional<Errc>& ended_with) -> net::awaitable<void> {
    while (true) {
      auto delta = co_await bridge->next(soon());
      if (!delta) ended_with = delta.error().code;
      if (!delta || !*delta) co_return;
    }
  };
  net::co_spawn(io, consume(*slow, code), net::detached);
  io.run();
  EXPECT_EQ(code, Errc::slow_client);
}

TEST(Engine, AParkedSequenceGoesOnWhenItsClientReads) {
  net::io_context io(1);
  LetterCodec codec;
  EngineLimits limits;
  limits.bridge_capacity = 4;
  auto gate = std::make_shared<LetterExecutor::Gate>();
  Engine engine(limits, StepModel{}, codec, std::make_unique<LetterExecutor>(gate));
  Sampling greedy;
  greedy.temperature = 0;
  const auto prompt = one_prompt(5, 0);
  auto bridge = engine.submit({prompt, greedy, 20}, io.get_executor());
  ASSERT_TRUE(bridge);
  ASSERT_TRUE(eventually([&] { return engine.counters().generated_tokens == 4; }));
  std::string text;
  auto consume = [](std::shared_ptr<Bridge> from, std::string& into) -> net::awaitable<void> {
    while (true) {
      auto delta = co_await from->next(soon());
      if (!delta || !*delta) co_return;
      into += (*delta)->text;
    }
  };
  net::co_spawn(io, consume(*bridge, text), net::detached);
  io.run();
  EXPECT_EQ(text, "abcdefghijklmnopqrst");
}

// Says so slowly that it ended.
class SlowToTell final : public EngineObserver {
 public:
  void changed(const EngineStatus&, std::optional<TimePoint>, const EngineCounters&) override {}
  void caught_up() override {}
  void inserted(std::string_view, std::uint64_t, std::span<const std::int32_t>,
                std::int32_t) override {}
  void erased(std::int32_t) override {}
  void ended(const Error& why) override {
    std::this_thread::sleep_for(50ms);
    told = why.message;
  }

  std::string told;
};

TEST(Engine, OneThatCannotMeasureItselfHasFailedBeforeItIsThere) {
  LetterCodec codec;
  EngineLimits limits;
  limits.calibrate = true;
  auto gate = std::make_shared<LetterExecutor::Gate>();
  gate->broken = true;
  SlowToTell observer;
  const Engine engine(limits, StepModel{}, codec, std::make_unique<LetterExecutor>(gate),
                      &observer);
  EXPECT_FALSE(engine.status().ready);
  EXPECT_NE(observer.told, "");
}

TEST(SyntheticBackend, KeepsItsPaceAndEndsByItself) {
  config::LocalTarget target;
  target.executor = "synthetic";
  target.step_prior = {1.0, 0.0, 0.0, 10.0};
  auto backend = make_local_backend(target);
  ASSERT_TRUE(backend);
  EXPECT_EQ((*backend)->name(), "local");
  auto request = std::make_shared<ChatRequest>();
  request->messages = {{Role::user, std::string(400, 'x'), "", true}};
  const auto prompts = (*backend)->encode(request);
  ASSERT_TRUE(prompts);
  EXPECT_EQ((*prompts)->at(0).size(), 105u);

  net::io_context io(1);
  int tokens = 0;
  auto consume = [](Backend& on, std::shared_ptr<const ChatRequest> asked,
                    int& count) -> net::awaitable<void> {
    Terms terms{"letters", soon()};
    auto stream = co_await on.open(asked, std::move(terms));
    if (!stream) co_return;
    while (true) {
      auto delta = co_await (*stream)->next(soon());
      if (!delta || !*delta) co_return;
      count += (*delta)->tokens;
    }
  };
  const TimePoint began = SteadyClock::now();
  net::co_spawn(io, consume(**backend, request, tokens), net::detached);
  io.run();
  EXPECT_EQ(tokens, kSyntheticAnswer);
  EXPECT_GE(seconds_between(began, SteadyClock::now()), 0.096);
}

TEST(SyntheticBackend, UnknownExecutorsAreRefused) {
  config::LocalTarget target;
  target.executor = "abacus";
  const auto backend = make_local_backend(target);
  ASSERT_FALSE(backend);
  EXPECT_NE(backend.error().message.find("abacus"), std::string::npos);
}

#ifndef SPILLWAY_CUDA
TEST(SyntheticBackend, ABuildWithoutCudaSaysSo) {
  config::LocalTarget target;
  target.executor = "cuda";
  target.model_path = "/no/such/file";
  const auto backend = make_local_backend(target);
  ASSERT_FALSE(backend);
  EXPECT_NE(backend.error().message.find("-DSPILLWAY_CUDA=ON"), std::string::npos);
}
#endif

}  // namespace
}  // namespace spillway::local
