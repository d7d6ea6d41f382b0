// First answers: kept for a while, given again to the same request only, within so much memory.
// Lost ones: the same, and once.
#include "gateway/replay/first_answers.h"
#include "gateway/replay/lost_answers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace spillway::replay {
namespace {

using namespace std::chrono_literals;
using State = FirstAnswers::State;

const TimePoint kNow{1h};

Answer answer(std::string body) { return {"req_1", 200, "application/json", {}, std::move(body)}; }

TEST(FirstAnswers, ASecondIsBusyUntilTheFirstIsAnswered) {
  FirstAnswers answers({});
  auto first = answers.look({"t", "a"}, "one", kNow);
  ASSERT_EQ(first.state, State::first);
  EXPECT_EQ(answers.look({"t", "a"}, "one", kNow).state, State::busy);
  EXPECT_EQ(answers.look({"t", "a"}, "two", kNow).state, State::other);
  EXPECT_EQ(answers.look({"t", "b"}, "one", kNow).state, State::first);
  first.claim.keep(answer("hello"), kNow);
  const auto again = answers.look({"t", "a"}, "one", kNow);
  ASSERT_EQ(again.state, State::answered);
  EXPECT_EQ(again.answer->body, "hello");
  EXPECT_EQ(answers.look({"t", "a"}, "two", kNow).state, State::other);
}

TEST(FirstAnswers, WhoGivesUpLeavesNothing) {
  FirstAnswers answers({});
  {
    const auto first = answers.look({"t", "a"}, "one", kNow);
  }
  EXPECT_EQ(answers.look({"t", "a"}, "two", kNow).state, State::first);
}

TEST(FirstAnswers, AreForgottenWithTime) {
  FirstAnswers answers({1U << 20, 10min});
  answers.look({"t", "a"}, "one", kNow).claim.keep(answer("x"), kNow);
  EXPECT_EQ(answers.look({"t", "a"}, "one", kNow + 10min - 1ms).state, State::answered);
  EXPECT_EQ(answers.look({"t", "a"}, "one", kNow + 10min).state, State::first);
}

TEST(FirstAnswers, TheOldestGoWhenThereIsNoRoom) {
  const std::string large(20'000, 'x');
  FirstAnswers answers({4 * answer(large).bytes(), 1h});
  for (const char* name : {"a", "b", "c", "d"})
    answers.look({"t", name}, "one", kNow).claim.keep(answer(large), kNow);
  EXPECT_EQ(answers.look({"t", "a"}, "one", kNow).state, State::answered)
      << "just as much as there is";
  answers.look({"t", "e"}, "one", kNow).claim.keep(answer(large), kNow);
  EXPECT_EQ(answers.look({"t", "b"}, "one", kNow).state, State::answered);
  EXPECT_EQ(answers.look({"t", "e"}, "one", kNow).state, State::answered);
  EXPECT_EQ(answers.look({"t", "a"}, "one", kNow).state, State::first);
  answers.look({"t", "f"}, "one", kNow).claim.keep(answer(large + "y"), kNow);
  EXPECT_EQ(answers.look({"t", "f"}, "one", kNow).state, State::first)
      << "more than a quarter of it";
}

TEST(FirstAnswers, WhoFillsTheRoomMakesIt) {
  const std::string large(20'000, 'x');
  FirstAnswers answers({4 * answer(large).bytes(), 1h});
  answers.look({"b", "a"}, "one", kNow).claim.keep(answer(large), kNow);
  for (const char* name : {"a", "b", "c", "d", "e"})
    answers.look({"greedy", name}, "one", kNow).claim.keep(answer(large), kNow);
  EXPECT_EQ(answers.look({"b", "a"}, "one", kNow).state, State::answered) << "the oldest of all";
  EXPECT_EQ(answers.look({"greedy", "c"}, "one", kNow).state, State::answered);
  EXPECT_EQ(answers.look({"greedy", "b"}, "one", kNow).state, State::first);
  EXPECT_EQ(answers.look({"b", "a"}, "one", kNow + 1h).state, State::first);
}

TEST(FirstAnswers, OnlyOneOfManyIsTheFirst) {
  FirstAnswers answers({});
  std::atomic<int> firsts = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) {
        auto found = answers.look({"t", std::to_string(i)}, "one", kNow);
        if (found.state != State::first) continue;
        ++firsts;
        found.claim.keep(answer("x"), kNow);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(firsts, 2'000);
}

bool lose(LostAnswers& answers, Name name, std::string body, TimePoint now = kNow) {
  const auto sending = answers.send(std::move(name), answer(std::move(body)));
  if (sending) sending->lost(now);
  return sending != nullptr;
}

std::string taken(LostAnswers& answers, const Name& name, TimePoint now = kNow) {
  const auto found = answers.take(name, now);
  return found ? found->body : "";
}

TEST(LostAnswers, EachIsGivenOutOnceTheFirstFirst) {
  LostAnswers answers({});
  lose(answers, {"t", "a"}, "one");
  lose(answers, {"t", "a"}, "two");
  EXPECT_EQ(taken(answers, {"t", "b"}), "");
  EXPECT_EQ(taken(answers, {"u", "a"}), "");
  EXPECT_EQ(taken(answers, {"t", "a"}), "one");
  EXPECT_EQ(taken(answers, {"t", "a"}), "two");
  EXPECT_EQ(taken(answers, {"t", "a"}), "");
}

TEST(LostAnswers, WhatArrivedIsNotKept) {
  LostAnswers answers({});
  {
    const auto sending = answers.send({"t", "a"}, answer("one"));
    EXPECT_EQ(taken(answers, {"t", "a"}), "") << "nor is what may still arrive";
  }
  EXPECT_EQ(taken(answers, {"t", "a"}), "");
}

TEST(LostAnswers, AreForgottenWithTime) {
  LostAnswers answers({.keep = 60s});
  lose(answers, {"t", "a"}, "one");
  lose(answers, {"t", "a"}, "two", kNow + 1ms);
  EXPECT_EQ(taken(answers, {"t", "a"}, kNow + 60s), "two");
}

TEST(LostAnswers, WhoFillsTheRoomMakesIt) {
  LostAnswers answers({.answers_max = 4});
  lose(answers, {"b", "a"}, "small");
  for (const char* name : {"a", "b", "c", "d"}) lose(answers, {"greedy", name}, "more of it");
  EXPECT_EQ(taken(answers, {"greedy", "a"}), "");
  EXPECT_EQ(taken(answers, {"greedy", "b"}), "more of it");
  EXPECT_EQ(taken(answers, {"b", "a"}), "small") << "the oldest of all";
}

TEST(LostAnswers, TakeSoManyBytesAndNoMore) {
  const std::string large(20'000, 'x');
  const Name name{"t", "a"};
  const std::size_t each = answer(large).bytes() + 2;
  LostAnswers answers({.bytes_max = 4 * each});
  EXPECT_FALSE(lose(answers, name, large + "y")) << "more than a quarter of it";
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(lose(answers, name, large));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(taken(answers, name), large);
  EXPECT_EQ(taken(answers, name), "");
  std::vector<std::shared_ptr<LostAnswers::Sending>> on_their_way;
  on_their_way.push_back(answers.send(name, answer(large)));
  EXPECT_EQ(answers.send(name, answer("small")), nullptr) << "a tenant has a quarter";
  for (const char* tenant : {"u", "v", "w"})
    on_their_way.push_back(answers.send({tenant, "a"}, answer(large)));
  EXPECT_EQ(answers.send({"x", "a"}, answer(large)), nullptr);
  on_their_way.pop_back();
  EXPECT_NE(answers.send({"x", "a"}, answer(large)), nullptr);
}

}  // namespace
}  // namespace spillway::replay
