// The encoder's queue over an encoder that only notes what it is given.
#include "backends/local/encoder/encoder_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <semaphore>

namespace spillway::local {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Answer = Result<std::vector<Embedding>>;

// What the test sees of an encoder that its thread owns. A pass begins when it is let.
struct Seen {
  std::counting_semaphore<> may_begin{0};
  std::counting_semaphore<> begun{0};
  std::vector<std::vector<std::size_t>> passes;  // The lengths of each pass's inputs.
};

// The vector of an input is its first token.
class NotingEncoder final : public Encoder {
 public:
  explicit NotingEncoder(Seen& seen) : seen_(seen) {}

  Answer embed(std::span<const TokenIds> inputs) override {
    seen_.begun.release();
    seen_.may_begin.acquire();
    std::vector<Embedding> embeddings;
    std::vector<std::size_t> lengths;
    for (const TokenIds& ids : inputs) {
      if (ids.front() < 0) return Error{Errc::backend_unavailable, "a bad input"};
      embeddings.push_back({static_cast<float>(ids.front())});
      lengths.push_back(ids.size());
    }
    seen_.passes.push_back(std::move(lengths));
    return embeddings;
  }

 private:
  Seen& seen_;
};

struct Asked {
  std::promise<Answer> promise;
  std::future<Answer> future = promise.get_future();
};

EncoderThread::Job job(std::vector<TokenIds> inputs, Asked& asked) {
  EncoderThread::Job one;
  one.inputs = std::move(inputs);
  one.answer = [&asked](Answer answer) { asked.promise.set_value(std::move(answer)); };
  return one;
}

TokenIds ids(std::int32_t first, std::size_t length) { return TokenIds(length, first); }

TEST(EncoderThread, AnswersInTheOrderOfTheInputsAndPadsLittle) {
  Seen seen;
  Asked asked;
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {4, 12});
  seen.may_begin.release(10);
  ASSERT_TRUE(thread.ask(job({ids(1, 20), ids(2, 3), ids(3, 6), ids(4, 4)}, asked)));
  const Answer answer = asked.future.get();
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, ElementsAre(Embedding{1}, Embedding{2}, Embedding{3}, Embedding{4}));
  EXPECT_THAT(seen.passes, ElementsAre(ElementsAre(3, 4), ElementsAre(6), ElementsAre(20)));
}

TEST(EncoderThread, OwnersTakeTurnsHoweverManyListsOneHasAndTheForegroundGoesFirst) {
  Seen seen;
  std::array<Asked, 5> asked;
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {8, 1});
  const auto ask = [&](std::size_t which, std::size_t length, std::string owner, Lane lane) {
    auto one = job({ids(1, length)}, asked[which]);
    one.owner = std::move(owner);
    one.lane = lane;
    ASSERT_TRUE(thread.ask(std::move(one)));
  };
  ask(0, 1, "many", Lane::foreground);
  seen.begun.acquire();
  ask(1, 2, "many", Lane::foreground);
  ask(2, 3, "many", Lane::foreground);
  ask(3, 4, "batches", Lane::background);
  ask(4, 5, "single", Lane::foreground);
  seen.may_begin.release(5);
  for (Asked& one : asked) ASSERT_TRUE(one.future.get());
  EXPECT_THAT(seen.passes, ElementsAre(ElementsAre(1), ElementsAre(5), ElementsAre(2),
                                       ElementsAre(3), ElementsAre(4)));
}

TEST(EncoderThread, AShortListPassesALongOne) {
  Seen seen;
  Asked longer;
  Asked shorter;
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {4, 1});
  ASSERT_TRUE(thread.ask(job({ids(1, 1), ids(2, 1), ids(3, 1)}, longer)));
  seen.begun.acquire();
  ASSERT_TRUE(thread.ask(job({ids(9, 1)}, shorter)));
  seen.may_begin.release(2);
  EXPECT_TRUE(shorter.future.get());
  EXPECT_NE(longer.future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  seen.may_begin.release(2);
  EXPECT_TRUE(longer.future.get());
}

TEST(EncoderThread, RefusesWhatIsTooMuch) {
  Seen seen;
  Asked first;
  Asked second;
  Asked third;
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {2, 8});
  ASSERT_TRUE(thread.ask(job({ids(1, 1)}, first)));
  ASSERT_TRUE(thread.ask(job({ids(2, 1)}, second)));
  EXPECT_EQ(thread.ask(job({ids(3, 1)}, third)).error().code, Errc::overloaded);
  seen.may_begin.release(2);
  EXPECT_TRUE(second.future.get());
  EXPECT_TRUE(thread.ask(job({ids(3, 1)}, third)));
  seen.may_begin.release();
  EXPECT_TRUE(third.future.get());
}

TEST(EncoderThread, WhatNobodyWaitsForIsNotDone) {
  Seen seen;
  Asked asked;
  auto gone = job({ids(1, 1)}, asked);
  gone.abandoned = [] { return true; };
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {2, 8});
  ASSERT_TRUE(thread.ask(std::move(gone)));
  EXPECT_FALSE(asked.future.get());
  EXPECT_THAT(seen.passes, IsEmpty());
}

TEST(EncoderThread, AFailureIsItsOwnJobsAlone) {
  Seen seen;
  Asked bad;
  Asked good;
  EncoderThread thread(std::make_unique<NotingEncoder>(seen), {2, 8});
  seen.may_begin.release(2);
  ASSERT_TRUE(thread.ask(job({ids(-1, 1)}, bad)));
  ASSERT_TRUE(thread.ask(job({ids(1, 1)}, good)));
  EXPECT_EQ(bad.future.get().error().message, "a bad input");
  EXPECT_TRUE(good.future.get());
}

TEST(EncoderThread, ItsEndAnswersWhoWaits) {
  Seen seen;
  Asked at_work;
  Asked waits;
  {
    EncoderThread thread(std::make_unique<NotingEncoder>(seen), {2, 8});
    ASSERT_TRUE(thread.ask(job({ids(1, 1)}, at_work)));
    seen.begun.acquire();
    ASSERT_TRUE(thread.ask(job({ids(2, 1)}, waits)));
    std::thread later([&] { seen.may_begin.release(2); });
    later.join();
  }
  EXPECT_TRUE(at_work.future.get());
  (void)waits.future.get();  // Answered, one way or the other.
}

}  // namespace
}  // namespace spillway::local
