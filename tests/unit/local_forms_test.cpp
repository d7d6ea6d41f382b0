// Answers of the engine that are held to a form.
#include "backends/local/engine/engine.h"
#include "backends/local/engine/synthetic_executor.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <thread>

namespace spillway::local {
namespace {

namespace net = boost::asio;
using Kind = Form::Kind;

struct Said {
  std::string text;
  std::optional<FinishReason> finish;
  std::optional<Error> error;
};

net::awaitable<void> listen(std::shared_ptr<Bridge> bridge, Said& said) {
  while (true) {
    auto delta = co_await bridge->next(soon());
    if (!delta) said.error = delta.error();
    if (!delta || !*delta) break;
    said.text += (*delta)->text;
    if ((*delta)->finish) said.finish = (*delta)->finish;
  }
  bridge->abandon();  // Who prepares forms may hold it for longer than `io` is there.
}

// The letter model's engine: it would say a, b, c …, and ends an answer with z.
class Forms : public testing::Test {
 protected:
  Ask ask_for(Form form) {
    Ask ask;
    ask.prompts = one_prompt(5, 0);
    ask.sampling.temperature = 0;
    ask.tokens_max = 20;
    ask.form = std::make_shared<const Form>(std::move(form));
    return ask;
  }

  Said answer(Ask ask) {
    net::io_context io(1);
    Said said;
    auto bridge = engine.submit(std::move(ask), io.get_executor());
    EXPECT_TRUE(bridge);
    if (!bridge) return said;
    net::co_spawn(io, listen(*bridge, said), net::detached);
    io.run();
    return said;
  }

  LetterCodec codec;
  std::shared_ptr<LetterExecutor::Gate> gate = std::make_shared<LetterExecutor::Gate>();
  Engine engine{EngineLimits{}, StepModel{}, codec, std::make_unique<LetterExecutor>(gate)};
};

TEST_F(Forms, TheAnswerEndsWithItsForm) {
  EXPECT_TRUE(engine.status().holds_forms);
  const Said said = answer(ask_for({Kind::choice, "", {"ba", "abx", "ayy"}, "field"}));
  EXPECT_EQ(said.text, "abx");
  EXPECT_EQ(said.finish, FinishReason::stop);
}

TEST_F(Forms, WhoWantsMoreGetsNoMoreThanTheForm) {
  for (const auto& change : {+[](Sampling& sampling) { sampling.ignore_eos = true; },
                             +[](Sampling& sampling) { sampling.tokens_min = 9; }}) {
    Ask ask = ask_for({Kind::regex, "x{3}", {}, "field"});
    change(ask.sampling);
    const Said said = answer(std::move(ask));
    EXPECT_EQ(said.text, "xxx");
    EXPECT_EQ(said.finish, FinishReason::stop);
  }
}

TEST_F(Forms, FewestTokensCountWhereTheFormLeavesAChoice) {
  Ask ask = ask_for({Kind::regex, "[a-y]*", {}, "field"});
  ask.sampling.tokens_min = 30;
  ask.tokens_max = 60;
  const Said said = answer(std::move(ask));
  EXPECT_GE(said.text.size(), 30u);
}

TEST_F(Forms, ItsLimitCutsAnAnswerOfAnyForm) {
  Ask ask = ask_for({Kind::regex, "[a-y]{100}", {}, "field"});
  const Said said = answer(std::move(ask));
  EXPECT_EQ(said.text, "abcdefghijklmnopqrst");
  EXPECT_EQ(said.finish, FinishReason::length);
}

TEST_F(Forms, StopStringsStillStop) {
  Ask ask = ask_for({Kind::regex, "[a-y]*", {}, "field"});
  ask.sampling.stop = {"cd"};
  const Said said = answer(std::move(ask));
  EXPECT_EQ(said.text, "ab");
  EXPECT_EQ(said.finish, FinishReason::stop);
}

TEST_F(Forms, WhatAnotherBeganIsGoneOnWith) {
  const Form form{Kind::choice, "", {"abx", "cdef"}, "field"};
  Ask ask = ask_for(form);
  ask.begun = "cd";
  EXPECT_EQ(answer(ask).text, "ef");
  ask.begun = "cdef";
  const Said over = answer(ask);
  EXPECT_EQ(over.text, "");
  EXPECT_EQ(over.finish, FinishReason::stop);
  ask.begun = "cx";
  const Said wrong = answer(ask);
  ASSERT_TRUE(wrong.error);
  EXPECT_EQ(wrong.error->code, Errc::backend_unavailable) << "another may know how to go on";
}

TEST_F(Forms, AFormThatCannotBeHeldToFailsBeforeTheFirstToken) {
  const Said said = answer(ask_for({Kind::regex, "(", {}, "guided_regex"}));
  ASSERT_TRUE(said.error);
  EXPECT_EQ(said.error->code, Errc::invalid_request);
  EXPECT_EQ(said.error->param, "guided_regex");
  EXPECT_EQ(engine.counters().accepted, 0u);
  EXPECT_EQ(engine.counters().refused, 1u);
  EXPECT_EQ(gate->steps, 0);
}

TEST_F(Forms, AFormWithoutAnEndFailsWhereNothingFollows) {
  const Said said =
      answer(ask_for({Kind::grammar, "root ::= \"ab\" x\nx ::= \"c\" x", {}, "field"}));
  // Either at once or when it is there; never an answer that looks whole.
  EXPECT_TRUE(said.error || said.finish == FinishReason::length);
}

TEST_F(Forms, NeighboursWithoutAFormSayWhatTheyWould) {
  net::io_context io(1);
  Said free;
  Said held;
  gate->allow(-(1 << 30));
  Ask plain = ask_for({});
  plain.form = nullptr;
  auto one = engine.submit(std::move(plain), io.get_executor());
  auto two = engine.submit(ask_for({Kind::regex, "[x-y]{5}", {}, "field"}), io.get_executor());
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(eventually([&] { return engine.counters().accepted == 2; }));
  gate->allow(1 << 30);
  net::co_spawn(io, listen(*one, free), net::detached);
  net::co_spawn(io, listen(*two, held), net::detached);
  io.run();
  EXPECT_EQ(free.text, "abcdefghijklmnopqrst");
  EXPECT_EQ(held.text.size(), 5u);
  EXPECT_EQ(held.text.find_first_not_of("xy"), std::string::npos);
}

TEST_F(Forms, WhoLeavesWhileItsFormIsPreparedLeavesNothingBehind) {
  net::io_context io(1);
  constexpr int kLeavers = 50;
  for (int i = 0; i < kLeavers; ++i) {
    // Each its own, and too long for a Bridge that nobody reads: it would be parked, not finished.
    Ask ask = ask_for({Kind::regex, "[a-y]{" + std::to_string(400 + i) + "}", {}, "field"});
    ask.tokens_max = 500;
    auto bridge = engine.submit(std::move(ask), io.get_executor());
    ASSERT_TRUE(bridge);
    (*bridge)->abandon();
  }
  EXPECT_TRUE(eventually([&] {
    const EngineCounters counters = engine.counters();
    return counters.cancelled + counters.refused == kLeavers;
  }));
  EXPECT_TRUE(engine.status().running.empty());
  EXPECT_TRUE(engine.status().waiting.empty());
}

// Drawn on trial it looks harmless; then each letter takes longer than the one before.
Form many_ways() {
  std::string text = "root ::= [a-y]{60} w \"yyyyy\"\nw ::= [a-y]";
  for (int i = 0; i < 30; ++i) text += " | w" + std::to_string(i);
  for (int i = 0; i < 30; ++i) text += "\nw" + std::to_string(i) + " ::= [a-y] w [a-y]? | [a-y]";
  return {Kind::grammar, text, {}, "guided_grammar"};
}

TEST_F(Forms, WhatCanBeReadInManyWaysIsRefusedInTheEndAndHoldsUpNobody) {
  const auto slowest_usual = [this] {
    std::chrono::nanoseconds most{};
    for (int i = 0; i < 200; ++i) {
      const auto began = SteadyClock::now();
      const Said said = answer(ask_for({Kind::regex, "[a-y]*", {}, "field"}));
      most = std::max<std::chrono::nanoseconds>(most, SteadyClock::now() - began);
      EXPECT_EQ(said.text.size(), 20u);
    }
    return std::chrono::duration<double, std::milli>(most).count();
  };
  const double alone = slowest_usual();
  Ask ask = ask_for(many_ways());
  ask.tokens_max = 400;
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    const Said slow = answer(std::move(ask));
    ASSERT_TRUE(slow.error) << slow.text;
    EXPECT_EQ(slow.error->code, Errc::invalid_request) << slow.error->message;
    is_over = true;
  });
  double beside = 0;
  while (!is_over) beside = std::max(beside, slowest_usual());
  other.join();
  std::printf("slowest answer of 20 letters: %.1f ms, beside a form of many ways %.1f ms\n", alone,
              beside);
  EXPECT_LT(beside, alone + 200);  // What nobody ends takes seconds for a letter.
}

TEST(SyntheticForms, JsonIsSaidAsShortlyAsItCanBe) {
  const auto codec = make_synthetic_codec();
  const ExecutorShape shape{kSyntheticVocabulary, 512, 64, true};
  Engine engine(EngineLimits{}, StepModel{}, *codec,
                std::make_unique<SyntheticExecutor>(StepModel{}, shape));
  Ask ask;
  ask.prompts = one_prompt(5, 1);
  ask.tokens_max = 100;
  ask.form = std::make_shared<const Form>(
      Form{Kind::schema,
           R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},)"
           R"("required":["name","age"]})",
           {},
           "response_format"});
  net::io_context io(1);
  Said said;
  auto bridge = engine.submit(std::move(ask), io.get_executor());
  ASSERT_TRUE(bridge);
  net::co_spawn(io, listen(*bridge, said), net::detached);
  io.run();
  EXPECT_EQ(said.text, R"({"name":"","age":-1})");
  EXPECT_EQ(said.finish, FinishReason::stop);
}

}  // namespace
}  // namespace spillway::local
