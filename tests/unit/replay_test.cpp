// First answers: kept for a while, given again to the same request only, within so much memory.
#include "gateway/replay/first_answers.h"

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

}  // namespace
}  // namespace spillway::replay
