// The gateway's picture of an engine in another process, with the test in the engine's place.
#include "backends/isolated/switchboard.h"
#include "tests/unit/prompts.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace spillway::isolated {
namespace {

constexpr int kKvTokens = 64;  // Four blocks.

class Board : public testing::Test {
 protected:
  Board() {
    auto line = Line::create();
    line_ = std::move(*line);
    orders_.emplace(line_->orders_in());
    board_->connect(*line_, "settings");
    EXPECT_EQ(std::get<Hello>(next_order()).settings, "settings");
  }

  Order next_order() {
    std::string frame;
    const auto read = orders_->read(frame);
    EXPECT_TRUE(read && *read) << "nothing was ordered";
    auto order = decode_order(frame);
    EXPECT_TRUE(order);
    return std::move(*order);
  }
  bool nothing_ordered() {
    std::string frame;
    return !*orders_->read(frame);
  }

  EngineStatus engine() {
    EngineStatus status;
    status.ready = true;
    status.sequences_max = 1;
    status.waiting_max = 2;
    status.kv_tokens_total = kKvTokens;
    status.context_max = 60;
    return status;
  }
  void load() { ASSERT_TRUE(board_->heed(Loaded{{engine()}})); }
  bool picture(std::uint64_t accepted, std::vector<SequenceStatus> running = {}) {
    Picture picture{0, engine(), std::nullopt, {}};
    picture.status.running = std::move(running);
    picture.counters.accepted = accepted;
    return board_->heed(std::move(picture)).has_value();
  }

  Result<std::shared_ptr<Bridge>> submit(int prompt_tokens = 3) {
    local::Ask ask;
    const auto size = static_cast<std::size_t>(prompt_tokens);
    ask.prompts = local::one_prompt(size, 1);
    ask.tokens_max = 5;
    ask.owner = "tenant";
    return board_->submit(std::move(ask), io_.get_executor());
  }

  boost::asio::io_context io_;
  std::unique_ptr<Line> line_;
  std::optional<RingReader> orders_;
  std::shared_ptr<Switchboard> board_ = std::make_shared<Switchboard>(kKvTokens);
};

TEST_F(Board, IsNotReadyBeforeTheEngineIs) {
  EXPECT_FALSE(board_->status().ready);
  EXPECT_EQ(submit().error().code, Errc::backend_unavailable);
  EXPECT_GT(board_->context_max(), 1'000'000);
  load();
  EXPECT_TRUE(board_->status().ready);
  EXPECT_EQ(board_->context_max(), 60);
  EXPECT_TRUE(submit());
}

TEST_F(Board, WhoIsOnTheWayIsInThePictureOnce) {
  load();
  ASSERT_TRUE(submit(3));
  ASSERT_TRUE(submit(4));
  ASSERT_EQ(board_->status().waiting.size(), 2U);
  EXPECT_EQ(board_->status().waiting[1].prefill_left, 4);
  ASSERT_TRUE(picture(1, {{0, 3, 1, 5, Lane::foreground}}));
  EXPECT_EQ(board_->status().running.size(), 1U);
  ASSERT_EQ(board_->status().waiting.size(), 1U);
  EXPECT_EQ(board_->status().waiting[0].prefill_left, 4);
}

TEST_F(Board, TakesAsManyAsTheEngineWould) {
  load();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(submit());  // One place, and two who wait.
  const auto refused = submit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
}

TEST_F(Board, WhoLeavesIsCancelledAndWhoReadsSlowlyIsPaused) {
  load();
  const auto bridge = submit();
  ASSERT_TRUE(bridge);
  const StreamId id = std::get<Question>(next_order()).id;
  for (int i = 0; i < 256; ++i) {
    EXPECT_TRUE(nothing_ordered()) << i;
    ASSERT_TRUE(board_->heed(Piece{id, {}}));
  }
  EXPECT_EQ(std::get<Paused>(next_order()).id, id);
  ASSERT_TRUE(board_->heed(Piece{id, {}}));  // It was on its way.
  EXPECT_TRUE(nothing_ordered());
  (*bridge)->abandon();
  EXPECT_EQ(std::get<Cancelled>(next_order()).id, id);
  EXPECT_FALSE(board_->has_work());
  ASSERT_TRUE(board_->heed(Piece{id, {}}));
  ASSERT_TRUE(board_->heed(Done{id}));
}

TEST_F(Board, ItsEndFailsWhoeverIsLeft) {
  load();
  const auto bridge = submit();
  ASSERT_TRUE(bridge);
  board_->disconnect({Errc::backend_unavailable, "it died", "", std::nullopt});
  EXPECT_TRUE((*bridge)->ready());
  EXPECT_FALSE(board_->status().ready);
  EXPECT_TRUE(board_->status().waiting.empty());
  EXPECT_FALSE(board_->has_work());
  EXPECT_EQ(board_->context_max(), 60);  // The next one's, most likely.
}

TEST_F(Board, OrdersThatFindNoRoomComeLaterAndQuestionsNotAtAll) {
  load();
  const std::string large(kOrderBytes / 2, 'x');
  board_->send(Hello{large});
  board_->send(Hello{large});
  EXPECT_FALSE(board_->flush());
  EXPECT_EQ(submit().error().code, Errc::overloaded);
  (void)next_order();
  EXPECT_TRUE(board_->flush());
  (void)next_order();
  EXPECT_TRUE(submit());
}

TEST_F(Board, KnowsThePrefixesAsTheEngineDoes) {
  load();
  const std::vector<std::int32_t> block(16, 1);
  const std::vector<std::int32_t> prompt(40, 1);
  EXPECT_EQ(board_->cached_tokens("tenant", prompt), 0);
  ASSERT_TRUE(board_->heed(PrefixInserted{0, "tenant", 0, block, 2}));
  ASSERT_TRUE(board_->heed(PrefixInserted{0, "tenant", 2, block, 3}));
  EXPECT_EQ(board_->cached_tokens("tenant", prompt), 32);
  EXPECT_EQ(board_->cached_tokens("stranger", prompt), 0);
  ASSERT_TRUE(board_->heed(PrefixErased{0, 3}));
  EXPECT_EQ(board_->cached_tokens("tenant", prompt), 16);
}

TEST_F(Board, WhatCannotBeIsRefused) {
  const std::vector<std::int32_t> block(16, 1);
  EngineStatus boaster = engine();
  boaster.kv_tokens_total = kKvTokens + 16;
  EXPECT_FALSE(board_->heed(Loaded{{boaster}}));
  EXPECT_FALSE(board_->heed(PrefixErased{0, 0})) << "nothing is loaded";
  load();
  EXPECT_FALSE(picture(1)) << "nobody was handed in";
  EXPECT_FALSE(board_->heed(PrefixInserted{0, "tenant", 0, block, 4}));
  EXPECT_FALSE(board_->heed(PrefixInserted{0, "tenant", 0, block, -1}));
  EXPECT_FALSE(board_->heed(PrefixInserted{0, "tenant", 0, {1, 2}, 0}));
  ASSERT_TRUE(board_->heed(PrefixInserted{0, "tenant", 0, block, 0}));
  EXPECT_FALSE(board_->heed(PrefixInserted{0, "other", 0, block, 0})) << "it holds something";
  EXPECT_FALSE(board_->heed(PrefixErased{0, 4}));
}

TEST_F(Board, AnEngineThatGrowsIsRefused) {
  load();
  Picture grown{0, engine(), std::nullopt, {}};
  grown.status.kv_tokens_total *= 2;
  EXPECT_FALSE(board_->heed(grown));
}

TEST_F(Board, OneEngineHasNoRoomToShare) {
  load();
  ASSERT_TRUE(submit());
  const local::WaitingPlace place{1, {{3, 0, 0, 5, Lane::foreground}}, {0}};
  EXPECT_FALSE(board_->heed(Loaded{{engine(), engine()}}));
  EXPECT_FALSE(board_->heed(Came{place}));
  EXPECT_FALSE(board_->heed(Refused{1}));
  EXPECT_FALSE(board_->heed(Left{1}));
  EXPECT_FALSE(board_->heed(Taken{1, 0}));
  EXPECT_FALSE(board_->heed(ReplicaFailed{0, "why"}));
  EXPECT_FALSE(board_->heed(Picture{1, engine(), std::nullopt, {}}));
}

}  // namespace
}  // namespace spillway::isolated
