// The local backend as the gateway sees it, over a model of letters.
#include "backends/local/local_backend.h"

#include "tests/unit/local_backend_fixture.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>
#include <thread>

namespace spillway::local {
namespace {

// Says a script in place of letters, a piece of it for each.
class ScriptCodec final : public LetterCodec {
 public:
  ScriptCodec(std::string script, answer::AnswerStyle style)
      : script_(std::move(script)), style_(style) {}

  // The prompt says nothing.
  Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages, const Tools*,
                                           std::string_view, int) const override {
    return std::vector<std::int32_t>(messages.at(0).content.size(), 25);
  }
  answer::AnswerStyle style() const override { return style_; }
  SamplingDefaults sampling() const override { return {.temperature = 0.0}; }
  std::unique_ptr<TextStream> open_stream(bool) const override {
    class Stream final : public TextStream {
     public:
      explicit Stream(const std::string& script) : script_(script) {}
      std::string push(std::int32_t id) override {
        const std::size_t piece = script_.size() / 24;
        const auto at = static_cast<std::size_t>(id) * piece;
        return id >= 25 ? "" : script_.substr(at, id == 24 ? script_.npos : piece);
      }
      std::string finish() override { return {}; }

     private:
      const std::string& script_;
    };
    return std::make_unique<Stream>(script_);
  }

 private:
  const std::string script_;
  const answer::AnswerStyle style_;
};

TEST_F(LocalBackendTest, AnswersAndCounts) {
  start({});
  const Answer answer = ask(request(5, 7));
  EXPECT_EQ(answer.text, "abcdefg");
  EXPECT_EQ(answer.tokens, 7);
  EXPECT_EQ(answer.finish, FinishReason::length);
  ASSERT_TRUE(answer.usage);
  EXPECT_EQ(answer.usage->prompt_tokens, 5);
  EXPECT_EQ(answer.usage->completion_tokens, 7);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const EngineCounters counters = backend_->counters();
  EXPECT_EQ(counters.steps, 7u);
  EXPECT_EQ(counters.prompt_tokens, 5u);
  EXPECT_EQ(counters.generated_tokens, 7u);
  EXPECT_EQ(counters.finished, 1u);
}

TEST_F(LocalBackendTest, StopsAtTheModelsEndUnlessToldToGoOn) {
  start({});
  const Answer whole = ask(request(1, 100));
  EXPECT_EQ(whole.text, "abcdefghijklmnopqrstuvwxy");
  EXPECT_EQ(whole.finish, FinishReason::stop);
  auto on = request(1, 28);
  on->sampling.ignore_eos = true;
  EXPECT_EQ(ask(on).text, "abcdefghijklmnopqrstuvwxyzab");
}

TEST_F(LocalBackendTest, StopStringsAreNotShownAndNotBeforeTokensMin) {
  start({});
  auto stopped = request(1, 20);
  stopped->sampling.stop = {"def", "zz"};
  const Answer answer = ask(stopped);
  EXPECT_EQ(answer.text, "abc");
  EXPECT_EQ(answer.finish, FinishReason::stop);
  EXPECT_EQ(answer.stopped_by, "def");
  EXPECT_EQ(answer.usage->completion_tokens, 6);

  auto later = request(1, 8);
  later->sampling.stop = {"c"};
  later->sampling.tokens_min = 5;
  EXPECT_EQ(ask(later).text, "abcdefgh");
  auto cut_off = request(1, 4);
  cut_off->sampling.stop = {"def"};
  const Answer begun = ask(cut_off);
  EXPECT_EQ(begun.text, "abcd") << "held back text is shown when the answer ends otherwise";
  EXPECT_EQ(begun.stopped_by, "");
}

TEST_F(LocalBackendTest, EncodesAPromptOnce) {
  start({});
  auto asked = request(5, 2);
  const auto prompts = backend_->encode(asked);
  ASSERT_TRUE(prompts);
  EXPECT_EQ((*prompts)->at(0).size(), 5u);
  ask(asked);
  EXPECT_EQ(codec_->encoded, 1);
  ask(request(5, 2));
  EXPECT_EQ(codec_->encoded, 2);
}

TEST_F(LocalBackendTest, RefusesWhatCanNeverFit) {
  start({});
  EXPECT_EQ(ask(request(510, 3)).error->code, Errc::context_too_long);
  EXPECT_EQ(ask(request(510, 2)).text, "ab");
  const auto longer = request(600, 2);
  EXPECT_FALSE(backend_->encode(longer));
  const int encoded = codec_->encoded;
  EXPECT_EQ(ask(longer).error->code, Errc::context_too_long);
  EXPECT_EQ(codec_->encoded, encoded) << "what cannot be read is not read again";
  auto picture = request(3, 3);
  picture->needs = Need::images;
  EXPECT_EQ(ask(picture).error->code, Errc::invalid_request);
}

TEST_F(LocalBackendTest, StatusKnowsWhatWasHandedInAMomentAgo) {
  gate_->steps_allowed = 0;
  config::LocalTarget target;
  target.sequences_max = 1;
  target.waiting_max = 2;
  start(target);
  auto first = open(request(5, 3));
  ASSERT_TRUE(eventually([&] { return backend_->status().running.size() == 1; }));
  auto second = open(request(7, 3));
  auto third = open(request(9, 4));
  const EngineStatus status = backend_->status();
  ASSERT_EQ(status.waiting.size(), 2u);
  EXPECT_EQ(status.waiting[0].prefill_left, 7);
  EXPECT_EQ(status.waiting[1].prefill_left, 9);
  EXPECT_EQ(status.waiting[1].tokens_max, 4);
  EXPECT_GT(status.step_elapsed, 0.0);

  std::optional<Error> error;
  EXPECT_EQ(open(request(1, 1), &error), nullptr);
  EXPECT_EQ(error->code, Errc::overloaded);
  EXPECT_TRUE(error->retry_after);
  EXPECT_EQ(backend_->counters().refused, 1u);

  gate_->allow(1 << 20);
  EXPECT_EQ(read(*first).text, "abc");
  EXPECT_EQ(read(*second).text, "abc");
  EXPECT_EQ(read(*third).text, "abcd");
}

TEST_F(LocalBackendTest, AClientThatLeavesIsOutWithinTwoSteps) {
  gate_->steps_allowed = 3;
  start({});
  auto gone = open(request(20, 100));
  auto stays = open(request(5, 4));
  ASSERT_TRUE(eventually([&] { return gate_->steps == 3; }));
  gone.reset();
  gate_->allow(1 << 20);
  EXPECT_EQ(read(*stays).text, "abcd");
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const EngineCounters counters = backend_->counters();
  EXPECT_EQ(counters.cancelled, 1u);
  EXPECT_LE(counters.cancel_steps_max, 2u);
  EXPECT_LT(counters.generated_tokens, 12u);
}

TEST_F(LocalBackendTest, WhenTheExecutorFailsEveryStreamDoes) {
  gate_->steps_allowed = 2;
  config::LocalTarget target;
  target.sequences_max = 1;
  start(target);
  auto runs = open(request(5, 100));
  auto waits = open(request(5, 100));
  ASSERT_TRUE(eventually([&] { return gate_->begun == 3; }));
  auto came_last = open(request(5, 100));  // The third step is under way: not even taken in.
  {
    std::lock_guard lock(gate_->mutex);
    gate_->broken = true;
    gate_->opened.notify_all();
  }
  EXPECT_EQ(read(*runs).error->code, Errc::backend_unavailable);
  EXPECT_EQ(read(*waits).error->code, Errc::backend_unavailable);
  EXPECT_EQ(read(*came_last).error->code, Errc::backend_unavailable);
  EXPECT_FALSE(backend_->status().ready);
  EXPECT_TRUE(backend_->status().running.empty());
  EXPECT_EQ(ask(request(1, 1)).error->code, Errc::backend_unavailable);
}

TEST_F(LocalBackendTest, StopLetsRunningAnswersFinish) {
  gate_->steps_allowed = 1;
  start({});
  auto stream = open(request(5, 6));
  ASSERT_TRUE(eventually([&] { return gate_->steps == 1; }));
  std::thread stopper([&] { backend_->stop(soon()); });
  ASSERT_TRUE(eventually([&] { return !backend_->status().ready; }));
  EXPECT_EQ(ask(request(1, 1)).error->code, Errc::backend_unavailable);
  gate_->allow(1 << 20);
  stopper.join();
  EXPECT_EQ(read(*stream).text, "abcdef");
}

TEST_F(LocalBackendTest, StopEndsWhatIsNotDoneInTime) {
  gate_->steps_allowed = 2;
  start({});
  auto stream = open(request(5, 400));
  ASSERT_TRUE(eventually([&] { return gate_->steps == 2; }));
  std::thread stopper([&] { backend_->stop(SteadyClock::now()); });
  ASSERT_TRUE(eventually([&] { return !backend_->status().ready; }));
  gate_->allow(1);
  stopper.join();
  EXPECT_EQ(read(*stream).error->code, Errc::backend_unavailable);
}

// Many clients on two threads come, read, and leave at random: nothing leaks, nobody is lost.
class Crowd {
 public:
  Crowd(LocalBackend& backend, unsigned seed) : backend_(backend), random_(seed) {}

  void run(int clients) {
    net::io_context io(1);
    for (int i = 0; i < clients; ++i) {
      const auto patience = static_cast<int>(random_() % 40);
      net::co_spawn(io, client(request(), patience), net::detached);
    }
    io.run();
  }

  int whole = 0;
  int refused = 0;
  int wrong = 0;

 private:
  std::shared_ptr<const ChatRequest> request() {
    auto request = std::make_shared<ChatRequest>();
    request->messages = {{Role::user, std::string(1 + random_() % 200, 'x'), ""}};
    request->sampling.temperature = 0;
    request->sampling.tokens_max = static_cast<int>(1 + random_() % 24);
    return request;
  }

  net::awaitable<void> client(std::shared_ptr<const ChatRequest> request, int patience) {
    Terms terms{"letters", soon()};
    auto stream = co_await backend_.open(request, std::move(terms));
    if (!stream) {
      ++refused;
      co_return;
    }
    std::string text;
    for (int read = 0; read < patience; ++read) {
      auto delta = co_await (*stream)->next(soon());
      if (!delta) ++wrong;
      if (!delta) co_return;
      if (!*delta) break;
      text += (*delta)->text;
    }
    const std::string expected = "abcdefghijklmnopqrstuvwxyz";
    if (!expected.starts_with(text)) ++wrong;
    whole += static_cast<int>(text.size()) == *request->sampling.tokens_max ? 1 : 0;
  }

  LocalBackend& backend_;
  std::mt19937 random_;
};

TEST_F(LocalBackendTest, ACrowdLeavesNothingBehind) {
  config::LocalTarget target;
  target.sequences_max = 6;
  target.step_tokens_max = 48;
  target.waiting_max = 60;
  start(target, 32);
  Crowd one(*backend_, 1);
  Crowd two(*backend_, 2);
  std::thread other([&] { two.run(150); });
  one.run(150);
  other.join();
  ASSERT_TRUE(eventually([&] { return idle(); }));
  EXPECT_EQ(one.wrong + two.wrong, 0);
  EXPECT_GT(one.whole + two.whole, 20);
  const EngineCounters counters = backend_->counters();
  EXPECT_EQ(counters.accepted + counters.refused, 300u);
  EXPECT_EQ(counters.accepted, counters.finished + counters.cancelled);
  EXPECT_LE(counters.cancel_steps_max, 2u);
}

constexpr std::string_view kCalls =
    "<think>\nBonn it is.\n</think>\n\nLet me look.\n<tool_call>\n{\"name\": \"look\", "
    "\"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"time\", "
    "\"arguments\": {}}\n</tool_call>";

TEST_F(LocalBackendTest, CallsAndThoughtsAreToldApart) {
  start({}, 64,
        std::make_unique<ScriptCodec>(std::string(kCalls),
                                      answer::AnswerStyle{answer::syntax_named("hermes"), true}));
  auto asked = request(3, 100);
  asked->needs = Need::tools;
  asked->tools = std::make_shared<const Tools>(Tools{"[]", {{"look", ""}, {"time", ""}}});
  const Answer answer = ask(asked);
  EXPECT_EQ(answer.reasoning, "Bonn it is.");
  EXPECT_EQ(answer.text, "Let me look.");
  EXPECT_EQ(answer.finish, FinishReason::tool_calls);
  EXPECT_EQ(answer.tokens, 26) << "those of pieces that said nothing, too";
  ASSERT_TRUE(answer.usage);
  EXPECT_GT(answer.usage->reasoning_tokens, 0);
  EXPECT_LT(answer.usage->reasoning_tokens, 8);
  std::string arguments[2];
  std::string names[2];
  for (const std::string& extra : answer.extras) {
    const auto piece = nlohmann::json::parse(extra);
    for (const auto& call : piece["tool_calls"]) {
      const auto index = call["index"].get<std::size_t>();
      ASSERT_LT(index, 2u);
      const auto& function = call["function"];
      if (function.contains("name")) {
        EXPECT_TRUE(names[index].empty()) << "told once";
        names[index] = function["name"];
        EXPECT_EQ(call["id"].get<std::string>().size(), 29u);
        EXPECT_EQ(call["type"], "function");
      }
      arguments[index] += function["arguments"].get<std::string>();
    }
  }
  EXPECT_GT(answer.extras.size(), 2u) << "as they come";
  EXPECT_EQ(names[0] + arguments[0], R"(look{"city": "Bonn"})");
  EXPECT_EQ(names[1] + arguments[1], "time{}");
}

TEST_F(LocalBackendTest, WhoOffersNoToolsGetsText) {
  start({}, 64,
        std::make_unique<ScriptCodec>(std::string(kCalls),
                                      answer::AnswerStyle{answer::syntax_named("hermes"), true}));
  for (const bool none : {false, true}) {
    auto asked = request(3, 100);
    if (none) asked->tools = std::make_shared<const Tools>(Tools{"[]", {}});
    const Answer answer = ask(asked);
    EXPECT_EQ(answer.text, kCalls.substr(kCalls.find("Let me")));
    EXPECT_EQ(answer.finish, FinishReason::stop);
    EXPECT_TRUE(answer.extras.empty());
  }
  auto completion = request(3, 100);
  completion->endpoint = Endpoint::completions;
  completion->prompts = {{.text = "abc"}};
  EXPECT_EQ(ask(completion).text, kCalls);
}

TEST_F(LocalBackendTest, WhatIsLeftOpenIsAsTheModelsMakersSay) {
  start({}, 64, std::make_unique<ScriptCodec>("abcdefghijklmnopqrstuvwx", answer::AnswerStyle{}));
  auto asked = request(3, 100);
  asked->sampling.temperature = 2;
  asked->sampling.unsaid.temperature = true;
  EXPECT_EQ(ask(asked).text, "abcdefghijklmnopqrstuvwx");
  EXPECT_EQ(with_defaults(asked->sampling, {.top_p = 0.5}).temperature, 2);
  EXPECT_EQ(with_defaults(asked->sampling, {.top_p = 0.5}).top_p, 1) << "the client said it";
}

TEST_F(LocalBackendTest, ToolsOfOtherKindsAreNotForHere) {
  start({}, 64,
        std::make_unique<ScriptCodec>("", answer::AnswerStyle{answer::syntax_named("hermes")}));
  auto asked = request(3, 10);
  asked->needs = Need::tools;
  const Answer answer = ask(asked);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Errc::unsupported);
}

}  // namespace
}  // namespace spillway::local
