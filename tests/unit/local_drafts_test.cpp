// Answers some of whose tokens were guessed: they are those that come one by one.
#include "tests/unit/local_backend_fixture.h"

#include <gtest/gtest.h>

namespace spillway::local {
namespace {

// The model says the alphabet again and again, which a guess of it knows after the first time.
class DraftsTest : public LocalBackendTest, public testing::WithParamInterface<int> {
 protected:
  static config::LocalTarget drafting(int drafts) {
    config::LocalTarget target;
    target.speculation.drafts = drafts;
    return target;
  }

  static std::shared_ptr<ChatRequest> alphabets(int tokens_max) {
    auto asked = request(20, tokens_max);
    asked->sampling.ignore_eos = true;
    return asked;
  }
};
INSTANTIATE_TEST_SUITE_P(, DraftsTest, testing::Values(1, 4, 16));

std::string alphabet(std::size_t letters) {
  std::string text;
  for (std::size_t i = 0; i < letters; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

TEST_P(DraftsTest, SayTheSameInFewerSteps) {
  start(drafting(GetParam()));
  const Answer answer = ask(alphabets(250));
  EXPECT_EQ(answer.text, alphabet(250));
  EXPECT_EQ(answer.tokens, 250);
  EXPECT_EQ(answer.usage->completion_tokens, 250);
  EXPECT_EQ(answer.finish, FinishReason::length);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const EngineCounters counters = backend_->counters();
  EXPECT_EQ(counters.generated_tokens, 250u);
  EXPECT_EQ(counters.steps + counters.drafts_right, 250u) << "each step has one token of its own";
  EXPECT_GT(counters.drafts_right, 250u / 4);
  EXPECT_LE(counters.drafts_right, counters.drafts);
}

TEST_P(DraftsTest, EndWhereTheyWouldHave) {
  start(drafting(GetParam()));
  for (const int tokens_max : {59, 60, 61, 62, 63}) {
    EXPECT_EQ(ask(alphabets(tokens_max)).text, alphabet(static_cast<std::size_t>(tokens_max)));
  }
  for (const std::size_t last : {70, 71, 72, 73, 74}) {
    auto asked = alphabets(200);
    asked->sampling.stop = {alphabet(last).substr(last - 53)};
    const Answer answer = ask(asked);
    EXPECT_EQ(answer.text, alphabet(last - 53));
    EXPECT_EQ(answer.usage->completion_tokens, static_cast<int>(last));
    EXPECT_EQ(answer.finish, FinishReason::stop);
  }
}

// Before tokens_min the model says 'a' where it may not end, behind it it ends there.
TEST_P(DraftsTest, EndAtTheTokenThatEndsThem) {
  start(drafting(GetParam()));
  for (const std::int32_t last : {3, 4, 5, 6, 7}) {
    auto asked = alphabets(200);
    asked->sampling.tokens_min = 100;
    asked->sampling.stop_tokens = {last};
    const Answer answer = ask(asked);
    std::string expected = alphabet(static_cast<std::size_t>(4 * 26 + last));
    for (std::size_t at = 0; at < 100; ++at) {
      const auto letter = static_cast<std::int32_t>(at % 26);
      if (letter == last || letter == 25) expected[at] = 'a';
    }
    EXPECT_EQ(answer.text, expected);
    EXPECT_EQ(answer.usage->completion_tokens, 4 * 26 + last + 1);
  }
}

// What is drawn depends on seed and place alone, and penalties on what was said before.
TEST_P(DraftsTest, AreDrawnAndScoredAsIfAlone) {
  std::vector<Answer> answers;
  for (const int drafts : {0, GetParam()}) {
    start(drafting(drafts));
    auto asked = alphabets(200);
    asked->sampling.temperature = 2.0;
    asked->sampling.seed = 7;
    asked->sampling.frequency_penalty = -0.5;
    asked->sampling.logprobs = 2;
    answers.push_back(ask(asked));
  }
  EXPECT_EQ(answers[0].text, answers[1].text);
  EXPECT_GT(backend_->counters().drafts_right, 0u);
  EXPECT_LT(backend_->counters().drafts_right, backend_->counters().drafts) << "drawn otherwise";
  nlohmann::json told[2];
  for (int i = 0; i < 2; ++i) {
    for (const auto& piece : answers[i].logprobs)
      for (const auto& token : piece["content"]) told[i].push_back(token);
  }
  EXPECT_EQ(told[0], told[1]);
}

// Nobody has room for all: who is preempted says the same again.
TEST_P(DraftsTest, SurvivePreemption) {
  auto target = drafting(GetParam());
  target.sequences_max = 4;
  gate_->steps_allowed = 0;
  start(target, 48);
  auto asked = alphabets(220);
  asked->choices = 4;
  auto opened = open(asked);
  gate_->allow(1 << 20);  // All four are there.
  const Answer answer = read(*opened);
  EXPECT_EQ(answer.texts, std::vector<std::string>(4, alphabet(220)));
  ASSERT_TRUE(eventually([&] { return idle(); }));
  EXPECT_GT(backend_->counters().preemptions, 0u);
  EXPECT_GT(backend_->counters().drafts_right, 0u);
}

}  // namespace
}  // namespace spillway::local
