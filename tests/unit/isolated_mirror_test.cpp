// The gateway's picture of several engines in another process: what it tells is what they and their
// room tell, whatever is done to them; and what cannot be is refused.
#include "backends/isolated/mirror.h"
#include "backends/isolated/pulses.h"
#include "backends/isolated/speaker.h"
#include "backends/local/engine/replicas.h"
#include "backends/local/engine/synthetic_executor.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

namespace spillway::isolated {
namespace {

using namespace std::chrono_literals;
using local::eventually;

constexpr StepModel kPace{20e-6, 2e-6, 0.0, 0.2e-6};
constexpr int kKvTokens = 1'024;
constexpr int kSequencesMax = 2;

// A client who takes the first word, and more when he is told to.
class Reluctant final : public Outlet {
 public:
  explicit Reluctant(std::function<void()> on_room) : on_room_(std::move(on_room)) {}

  void push(Delta) override { begun_ = true; }
  void finish() override {}
  void fail(Error) override {}
  bool full() override { return begun_ && !reads_; }
  bool abandoned() const override { return left_; }

  void read() {
    reads_ = true;
    on_room_();
  }
  void leave() {
    left_ = true;
    on_room_();
  }

 private:
  const std::function<void()> on_room_;
  std::atomic<bool> begun_ = false;
  std::atomic<bool> reads_ = false;
  std::atomic<bool> left_ = false;
};

std::string told(const EngineStatus& status) {
  std::vector<EngineStatus> all = status.replicas;
  all.push_back(status);
  std::string bytes;
  encode(Word(Loaded{all}), bytes);
  return bytes;
}

std::string told(const EngineCounters& counters) {
  std::string bytes;
  encode(Word(Picture{0, {}, std::nullopt, counters}), bytes);
  return bytes;
}

// Several engines, what they say, and a mirror that hears it.
class Mirrored : public testing::Test {
 protected:
  explicit Mirrored(int replicas = 2) : replicas_(replicas) {
    std::vector<std::unique_ptr<local::Executor>> executors;
    local::Observers observers{{}, &room_reporter_};
    for (int i = 0; i < replicas; ++i) {
      const local::ExecutorShape shape{local::kSyntheticVocabulary, kKvTokens,
                                       kKvTokens / local::kBlockTokens, true};
      executors.push_back(std::make_unique<local::SyntheticExecutor>(kPace, shape));
      reporters_.push_back(std::make_unique<Reporter>(speaker_, roll_, static_cast<Replica>(i),
                                                      static_cast<std::size_t>(replicas)));
      observers.engines.push_back(reporters_.back().get());
    }
    local::EngineLimits limits;
    limits.sequences_max = kSequencesMax;
    limits.waiting_max = 20;
    limits.slow_client = 1h;
    door_ = std::make_unique<local::Replicas>(limits, kPace, *codec_, std::move(executors), nullptr,
                                              observers);
    Loaded loaded{door_->status().replicas};
    EXPECT_TRUE(mirror_.on(loaded));
  }

  // `family`: what the prompt begins with.
  std::shared_ptr<Reluctant> ask(int family, int size, int tokens = 20, int choices = 1,
                                 Lane lane = Lane::foreground) {
    local::Ask ask;
    ask.prompts = prompt(family, size);
    ask.sampling.temperature = 0;
    ask.sampling.ignore_eos = true;
    ask.tokens_max = tokens;
    ask.lane = lane;
    ask.owner = "tenant";
    ask.choices = choices;
    const SequenceStatus expected{size, 0, 0, tokens, lane};
    mirror_.expect({0, std::vector<SequenceStatus>(static_cast<std::size_t>(choices), expected),
                    std::vector<int>(static_cast<std::size_t>(replicas_))});
    std::shared_ptr<Reluctant> client;
    (void)door_->submit(std::move(ask), [&](std::function<void()> on_room) {
      client = std::make_shared<Reluctant>(std::move(on_room));
      return client;
    });
    return client;
  }
  local::Prompts prompt(int family, int size) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(size), family);
    tokens.back() = 100 + family;
    return local::one_prompt(std::move(tokens));
  }

  void listen() {
    while (*words_.read(frame_)) {
      auto word = decode_word(frame_);
      ASSERT_TRUE(word);
      const auto heard = std::visit([this](auto& one) { return hear(one); }, *word);
      EXPECT_TRUE(heard) << word->index();
    }
  }
  // Nothing moves any more: so many hold a place, and so many wait.
  void await(std::size_t running, std::size_t waiting) {
    EXPECT_TRUE(eventually([&] {
      const EngineStatus status = door_->status();
      const bool all = std::all_of(status.running.begin(), status.running.end(),
                                   [](const SequenceStatus& one) { return one.generated == 1; });
      listen();
      return all && status.running.size() == running && status.waiting.size() == waiting &&
             told(mirror_.status()) == told(status);
    })) << running
        << " and " << waiting;
    EXPECT_EQ(told(mirror_.counters()), told(door_->counters()));
    for (int family = 0; family < 8; ++family) {
      for (const int size : {10, 40, 100, 200}) {
        const auto tokens = prompt(family, size);
        const auto cached = cached_in_each(*mirror_.prefixes(), "tenant", tokens->front());
        EXPECT_EQ(mirror_.worth_of_cache(cached, size),
                  door_->cached_tokens("tenant", tokens->front()))
            << family << ", " << size;
      }
    }
  }

  const int replicas_;
  std::unique_ptr<Line> line_ = std::move(*Line::create());
  RingReader words_{line_->words_in()};
  std::string frame_;
  Speaker speaker_{line_->words_out()};
  Roll roll_{static_cast<std::size_t>(replicas_), line_->engine_bell()};
  RoomReporter room_reporter_{speaker_};
  std::vector<std::unique_ptr<Reporter>> reporters_;
  std::unique_ptr<local::TextCodec> codec_ = local::make_synthetic_codec();
  Mirror mirror_{kKvTokens, replicas_};
  std::unique_ptr<local::Replicas> door_;

 private:
  Result<void> hear(Piece&) { return {}; }
  Result<void> hear(Done&) { return {}; }
  Result<void> hear(Failure&) { return {}; }
  Result<void> hear(Farewell&) { return {}; }
  Result<void> hear(auto& word) { return mirror_.on(word); }
};

TEST_F(Mirrored, ItTellsOfTheRoomWhatTheRoomTells) {
  std::vector<std::shared_ptr<Reluctant>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(ask(i, 50 + i));
  await(4, 0);
  for (int i = 0; i < 5; ++i) clients.push_back(ask(i % 3, 70 + i));
  clients.push_back(ask(6, 40, 20, 3));
  clients.push_back(ask(7, 90, 20, 1, Lane::background));
  clients.push_back(ask(5, 30));
  await(4, 10);
  (void)ask(1, 30, 20, 11);  // There is no room for so many.
  await(4, 10);
  EXPECT_EQ(mirror_.counters().refused, 11U);
  clients[6]->leave();  // It waits.
  await(4, 9);
  clients[0]->leave();  // It runs, and another begins.
  await(4, 8);
  for (const auto& client : clients) client->read();
  await(0, 0);
  EXPECT_EQ(mirror_.counters().cancelled, 2U);
  EXPECT_EQ(mirror_.counters().finished, 12U);
}

TEST_F(Mirrored, AndStillDoesAfterAnyRequests) {
  std::mt19937 random(std::random_device{}());
  const auto draw = [&](int low, int high) {
    return std::uniform_int_distribution(low, high)(random);
  };
  for (int round = 0; round < 20; ++round) {
    std::vector<std::shared_ptr<Reluctant>> clients;
    for (int i = 0; i < 16; ++i) {
      const auto lane = draw(0, 3) == 0 ? Lane::background : Lane::foreground;
      clients.push_back(ask(draw(0, 7), draw(1, 200), draw(1, 30), draw(1, 2), lane));
      if (draw(0, 3) == 0) clients.back()->leave();
      if (draw(0, 1) == 0) clients.back()->read();
      if (draw(0, 3) == 0) listen();
    }
    for (const auto& client : clients) client->read();
    await(0, 0);
  }
}

TEST_F(Mirrored, WhoIsOnTheWayIsBehindThoseWhoAreThere) {
  std::vector<std::shared_ptr<Reluctant>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(ask(i, 50));
  EXPECT_EQ(mirror_.status().waiting.size(), 6U);
  await(4, 2);
  mirror_.expect({0, {{33, 0, 0, 5, Lane::foreground}}, {0, 0}});
  ASSERT_EQ(mirror_.status().waiting.size(), 3U);
  EXPECT_EQ(mirror_.status().waiting.back().prefill_left, 33);
  EXPECT_EQ(mirror_.status().replicas.size(), 2U);
}

TEST_F(Mirrored, AfterTheirEndNoneIsReady) {
  const auto client = ask(1, 50);
  await(1, 0);
  mirror_.forget();
  const EngineStatus status = mirror_.status();
  EXPECT_FALSE(status.ready);
  EXPECT_TRUE(status.running.empty() && status.waiting.empty());
  EXPECT_EQ(status.replicas.size(), 2U);
  EXPECT_EQ(status.engines(), 0);
  EXPECT_FALSE(mirror_.has_work());
  EXPECT_EQ(mirror_.counters().accepted, 0U);
  EXPECT_EQ(mirror_.context_max(), kKvTokens);
}

TEST_F(Mirrored, WhatCannotBeIsRefused) {
  const auto is_refused = [this](auto word) { return !mirror_.on(word).has_value(); };
  const auto place = [](std::vector<SequenceStatus> sequences, std::vector<int> cached) {
    return Came{{9, std::move(sequences), std::move(cached)}};
  };
  const SequenceStatus one{20, 0, 0, 5, Lane::foreground};
  EXPECT_TRUE(is_refused(place({one}, {0, 0}))) << "nobody was handed in";
  mirror_.expect({0, {one, one}, {0, 0}});
  EXPECT_TRUE(is_refused(place({}, {0, 0})));
  EXPECT_TRUE(is_refused(place({one}, {0})));
  EXPECT_TRUE(is_refused(place({one}, {0, -16})));
  EXPECT_TRUE(is_refused(place({{-1, 0, 0, 5, Lane::foreground}}, {0, 0})));
  EXPECT_TRUE(is_refused(place({{20, kKvTokens + 1, 0, 5, Lane::foreground}}, {0, 0})));
  EXPECT_FALSE(is_refused(place({one}, {0, 0})));
  EXPECT_TRUE(is_refused(Left{8}));
  EXPECT_TRUE(is_refused(Taken{8, 0}));
  EXPECT_FALSE(is_refused(Taken{9, 1}));
  EXPECT_TRUE(is_refused(Taken{9, 1})) << "it is there already";
  EXPECT_FALSE(is_refused(Refused{1}));
  EXPECT_TRUE(is_refused(Refused{1})) << "nobody is on the way";
  EXPECT_TRUE(is_refused(Picture{2, {}, std::nullopt, {}}));
  EXPECT_TRUE(is_refused(PrefixErased{2, 0}));
  EXPECT_TRUE(is_refused(ReplicaFailed{2, "why"}));
  EXPECT_TRUE(is_refused(Loaded{{door_->status().replicas.front()}})) << "there are two";
}

std::vector<EngineStatus> three(bool second_ready = true) {
  std::vector<EngineStatus> engines(3);
  for (EngineStatus& engine : engines) engine.ready = true;
  engines[1].ready = second_ready;
  return engines;
}

TEST(Pulses, AnyOneThatIsSilentIsFound) {
  const TimePoint start = SteadyClock::now();
  Pulses pulses(1'000ms);
  pulses.begin(three(), start);
  EXPECT_FALSE(pulses.wants_nudge(start + 499ms));
  EXPECT_TRUE(pulses.wants_nudge(start + 500ms));
  EXPECT_FALSE(pulses.wants_nudge(start + 501ms)) << "they were nudged";
  pulses.heard(0, start + 600ms);
  pulses.heard(2, start + 600ms);
  EXPECT_FALSE(pulses.silent(start + 999ms));
  EXPECT_EQ(pulses.silent(start + 1'000ms), 1U);
}

TEST(Pulses, OneIsNudgedThoughAnotherDoesNotAnswer) {
  const TimePoint start = SteadyClock::now();
  Pulses pulses(1'000ms);
  pulses.begin(three(), start);
  EXPECT_TRUE(pulses.wants_nudge(start + 500ms));
  pulses.heard(0, start + 500ms);
  pulses.heard(2, start + 500ms);
  EXPECT_FALSE(pulses.wants_nudge(start + 900ms));
  pulses.heard(1, start + 990ms);  // A long step.
  EXPECT_TRUE(pulses.wants_nudge(start + 1'000ms));
}

TEST(Pulses, WhoHasFailedIsNotWaitedFor) {
  const TimePoint start = SteadyClock::now();
  Pulses pulses(1'000ms);
  pulses.begin(three(false), start);
  pulses.ended(0);
  pulses.heard(0, start);
  pulses.heard(2, start + 500ms);
  EXPECT_FALSE(pulses.silent(start + 1'400ms));
  EXPECT_EQ(pulses.silent(start + 1'500ms), 2U);
  pulses.excuse(start + 1'500ms);
  EXPECT_FALSE(pulses.silent(start + 1'500ms));
  EXPECT_EQ(pulses.replicas(), 3U);
}

}  // namespace
}  // namespace spillway::isolated
