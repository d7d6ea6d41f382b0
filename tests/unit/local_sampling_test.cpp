// What a request may ask of the local model's sampler, by what comes back of it.
#include "tests/unit/local_backend_fixture.h"

#include <cmath>

namespace spillway::local {
namespace {

TEST_F(LocalBackendTest, StopTokensEndAnAnswerAndAreSeenWhereThatIsAsked) {
  start({});
  auto stopped = request(1, 20);
  stopped->sampling.stop_tokens = {3};
  const Answer answer = ask(stopped);
  EXPECT_EQ(answer.text, "abc");
  EXPECT_EQ(answer.finish, FinishReason::stop);
  EXPECT_EQ(answer.usage->completion_tokens, 4);
  auto seen = std::make_shared<ChatRequest>(*stopped);
  seen->sampling.keeps_stop = true;
  EXPECT_EQ(ask(seen).text, "abcd");
  auto unknown = request(1, 20);
  unknown->sampling.stop_tokens = {26};
  EXPECT_EQ(ask(unknown).error->param, "stop_token_ids");
}

TEST_F(LocalBackendTest, SeveralChoicesReadThePromptOnceAndEndTogether) {
  config::LocalTarget target;
  target.sequences_max = 8;
  start(target);
  auto three = request(40, 5);
  three->choices = 3;
  const Answer answer = ask(three);
  EXPECT_EQ(answer.texts, (std::vector<std::string>(3, "abcde")));
  EXPECT_EQ(answer.tokens, 15);
  EXPECT_EQ(answer.usages, 1);
  EXPECT_EQ(answer.usage->prompt_tokens, 40);
  EXPECT_EQ(answer.usage->completion_tokens, 15);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  // Two blocks of sixteen are found, by both that follow.
  EXPECT_EQ(backend_->counters().prompt_tokens, 40u + 2 * 8u);
  EXPECT_EQ(backend_->counters().accepted, 3u);
}

TEST_F(LocalBackendTest, EachOfSeveralPromptsHasItsChoices) {
  config::LocalTarget target;
  target.sequences_max = 8;
  start(target);
  auto asked = std::make_shared<ChatRequest>();
  asked->endpoint = Endpoint::completions;
  asked->prompts = {{.text = std::string(40, 'a')}, {.tokens = std::vector<std::int32_t>(3, 1)}};
  asked->sampling.temperature = 0;
  asked->sampling.tokens_max = 5;
  asked->choices = 4;
  const Answer answer = ask(asked);
  EXPECT_EQ(answer.texts, (std::vector<std::string>(4, "abcde")));
  EXPECT_EQ(answer.usages, 1);
  EXPECT_EQ(answer.usage->prompt_tokens, 43);
  EXPECT_EQ(answer.usage->completion_tokens, 20);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  // Of the long one two blocks of sixteen are found, of the short one none.
  EXPECT_EQ(backend_->counters().prompt_tokens, 40u + 8u + 3u + 3u);
  auto long_one = std::make_shared<ChatRequest>(*asked);
  long_one->prompts[1].tokens.resize(510);
  const Error error = ask(long_one).error.value();
  EXPECT_EQ(error.code, Errc::context_too_long);
  EXPECT_EQ(error.param, "prompt");
  auto empty_one = std::make_shared<ChatRequest>(*asked);
  empty_one->prompts[1].tokens.clear();
  EXPECT_EQ(ask(empty_one).error.value().code, Errc::invalid_request);
}

TEST_F(LocalBackendTest, ChoicesThatFindNoRoomAreAllRefused) {
  config::LocalTarget target;
  target.sequences_max = 2;
  target.waiting_max = 1;
  start(target);
  auto four = request(4, 5);
  four->choices = 4;
  EXPECT_EQ(ask(four).error->code, Errc::overloaded);
  EXPECT_EQ(backend_->counters().refused, 4u);
  auto three = request(4, 5);
  three->choices = 3;
  EXPECT_EQ(ask(three).texts.size(), 3u);
}

TEST_F(LocalBackendTest, WhoLeavesStopsAllChoices) {
  config::LocalTarget target;
  target.sequences_max = 8;
  start(target);
  gate_->steps_allowed = 3;
  auto asked = request(40, 200);
  asked->sampling.ignore_eos = true;
  asked->choices = 4;
  auto stream = open(asked);
  ASSERT_TRUE(eventually([&] { return gate_->steps == 3; }));
  stream.reset();
  gate_->allow(1 << 20);
  EXPECT_TRUE(eventually([&] { return idle(); }));
  EXPECT_EQ(backend_->counters().cancelled, 4u);
}

// From logits, or by an executor that scores tokens itself.
class ScoredAnswers : public LocalBackendTest, public testing::WithParamInterface<bool> {
 protected:
  ScoredAnswers() { gate_->scores = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(, ScoredAnswers, testing::Bool());

TEST_P(ScoredAnswers, ComeWithTheTextThatTheyAreOf) {
  start({});
  auto asked = request(1, 6);
  asked->sampling.logprobs = 1;
  asked->sampling.stop = {"de"};
  const Answer answer = ask(asked);
  EXPECT_EQ(answer.text, "abc");
  std::string told;
  for (const auto& piece : answer.logprobs) {
    for (const auto& token : piece["content"]) {
      told += token["token"];
      EXPECT_EQ(token["bytes"][0], told.back());
      EXPECT_NEAR(token["logprob"].get<double>(), 9 - std::log(std::exp(9.0) + 25), 1e-5);
      EXPECT_EQ(token["top_logprobs"].size(), 1u);
    }
  }
  EXPECT_EQ(told, "abc") << "nothing is told of what the stop string has cut off";
}

TEST_P(ScoredAnswers, RepeatAPromptScoredInChunks) {
  config::LocalTarget target;
  target.step_tokens_max = 8;
  start(target);
  auto asked = std::make_shared<ChatRequest>();
  asked->endpoint = Endpoint::completions;
  asked->prompts = {{.text = "abbaabbaabbaabbaabba"}};
  asked->needs = Need::echo | Need::logprobs;
  asked->sampling.temperature = 0;
  asked->sampling.tokens_max = 2;
  asked->sampling.logprobs = 1;
  asked->sampling.scores_prompt = true;
  asked->choices = 2;
  const Answer answer = ask(asked);
  EXPECT_EQ(answer.texts, (std::vector<std::string>(2, asked->prompts[0].text + "ab")));
  EXPECT_EQ(answer.usage->completion_tokens, 4);
  EXPECT_EQ(backend_->counters().prompt_tokens, 20u + 4u) << "the second finds what was scored";
  const auto& lists = answer.logprobs.at(0);
  ASSERT_EQ(lists["tokens"].size(), 21u);
  EXPECT_TRUE(lists["token_logprobs"][0].is_null());
  const double total = std::log(std::exp(9.0) + 25);
  for (std::size_t i = 1; i < 21; ++i) {
    const bool is_a = lists["tokens"][i] == "a";  // Which this model expects before it has spoken.
    EXPECT_NEAR(lists["token_logprobs"][i].get<double>(), (is_a ? 9 : 0) - total, 1e-5) << i;
    if (i < 20) {
      EXPECT_EQ(lists["tokens"][i], asked->prompts[0].text.substr(i, 1)) << i;
    }
    EXPECT_EQ(lists["text_offset"][i], i);
  }
  auto silent = std::make_shared<ChatRequest>(*asked);
  silent->choices = 1;
  silent->sampling.tokens_max = 0;
  const Answer nothing = ask(silent);
  EXPECT_EQ(nothing.text, asked->prompts[0].text);
  EXPECT_EQ(nothing.usage->completion_tokens, 0);
  EXPECT_EQ(nothing.finish, FinishReason::length);
  EXPECT_EQ(nothing.logprobs.at(0)["tokens"].size(), 20u);
  silent->sampling.prompt_logprobs = 2;
  const auto beside = nlohmann::json::parse("{" + ask(silent).beside->choice + "}");
  ASSERT_EQ(beside["prompt_logprobs"].size(), 20u);
  EXPECT_TRUE(beside["prompt_logprobs"][0].is_null());
  const auto& b = beside["prompt_logprobs"][1];  // Behind "a", which is expected again.
  EXPECT_EQ(b.size(), 2u);
  EXPECT_EQ(b["0"]["rank"], 1);
  EXPECT_EQ(b["1"]["rank"], 2);
  EXPECT_EQ(b["1"]["decoded_token"], "b");
  EXPECT_NEAR(b["0"]["logprob"].get<double>(), 9 - total, 1e-5);
  silent->sampling.prompt_logprobs.reset();
  auto two = std::make_shared<ChatRequest>(*silent);
  two->prompts.push_back({.text = "bab"});
  two->choices = 2;
  EXPECT_EQ(ask(two).texts, (std::vector<std::string>{asked->prompts[0].text, "bab"}));
}

}  // namespace
}  // namespace spillway::local
