#include "gateway/responses/shelf.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace spillway::responses {
namespace {

constexpr std::int64_t kNow = 1'000'000;
constexpr std::size_t kBytesMax = 1 << 20;

Kept response(const std::string& id, std::int64_t created = kNow,
              const std::string& previous = "") {
  return {id,
          "t",
          created,
          previous,
          R"({"id":")" + id + R"(","status":"queued","output":[{"id":"o)" + id + R"("}]})",
          R"([{"id":"i)" + id + R"("}])"};
}

Shelf shelf_with(ShelfLimits limits, const std::string& path = ":memory:") {
  auto shelf = Shelf::open(path, limits, kNow);
  EXPECT_TRUE(shelf) << shelf.error().message;
  return std::move(*shelf);
}

bool has(Shelf& shelf, const std::string& id, std::int64_t now = kNow) {
  const auto found = shelf.find("t", id, now);
  if (!found) {
    EXPECT_EQ(found.error().code, Errc::not_found);
  }
  return bool(found);
}

TEST(ResponsesShelf, IsOfATenant) {
  Shelf shelf = shelf_with({});
  ASSERT_TRUE(shelf.put(response("a"), kNow));
  EXPECT_TRUE(has(shelf, "a"));
  EXPECT_FALSE(shelf.find("other", "a", kNow));
  EXPECT_FALSE(shelf.remove("other", "a"));
  EXPECT_TRUE(shelf.remove("t", "a"));
  EXPECT_FALSE(has(shelf, "a"));
}

TEST(ResponsesShelf, ForgetsAtTheTimeToLive) {
  Shelf shelf = shelf_with({.ttl_seconds = 10});
  ASSERT_TRUE(shelf.put(response("a"), kNow));
  EXPECT_TRUE(has(shelf, "a", kNow + 9));
  EXPECT_FALSE(has(shelf, "a", kNow + 10));
}

TEST(ResponsesShelf, TheOldestGoWhenItIsFull) {
  const Kept one = response("a");
  const auto size = static_cast<std::int64_t>(one.body.size() + one.input.size());
  Shelf shelf = shelf_with({.bytes_max = 2 * size});
  ASSERT_TRUE(shelf.put(response("b", kNow - 1), kNow));
  ASSERT_TRUE(shelf.put(response("a", kNow - 2), kNow));
  EXPECT_TRUE(has(shelf, "a"));
  EXPECT_TRUE(has(shelf, "b"));
  ASSERT_TRUE(shelf.put(response("c"), kNow));
  EXPECT_FALSE(has(shelf, "a"));
  EXPECT_TRUE(has(shelf, "b"));
  EXPECT_TRUE(has(shelf, "c"));
}

TEST(ResponsesShelf, WhoFillsItMakesRoom) {
  const Kept one = response("a");
  const auto size = static_cast<std::int64_t>(one.body.size() + one.input.size());
  Shelf shelf = shelf_with({.bytes_max = 3 * size});
  ASSERT_TRUE(shelf.put(response("a", kNow - 9), kNow));
  for (const char* id : {"b", "c", "d", "e"}) {
    Kept others = response(id);
    others.tenant = "greedy";
    ASSERT_TRUE(shelf.put(others, kNow));
  }
  EXPECT_TRUE(has(shelf, "a")) << "the oldest, but another's";
  EXPECT_TRUE(shelf.find("greedy", "e", kNow) && shelf.find("greedy", "d", kNow));
  EXPECT_FALSE(shelf.find("greedy", "b", kNow) || shelf.find("greedy", "c", kNow));
}

TEST(ResponsesShelf, WhatIsReplacedOrTakenAwayMakesRoom) {
  const Kept one = response("a");
  const auto size = static_cast<std::int64_t>(one.body.size() + one.input.size());
  Shelf shelf = shelf_with({.bytes_max = 2 * size});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(shelf.put(response("a", kNow - 2), kNow));
  ASSERT_TRUE(shelf.put(response("b", kNow - 1), kNow));
  EXPECT_TRUE(has(shelf, "a"));
  ASSERT_TRUE(shelf.remove("t", "b"));
  ASSERT_TRUE(shelf.put(response("c"), kNow));
  EXPECT_TRUE(has(shelf, "a"));
  EXPECT_TRUE(has(shelf, "c"));
}

TEST(ResponsesShelf, WhatRunsIsNotMadeRoomOf) {
  Shelf shelf = shelf_with({.bytes_max = 1});
  Kept runs = response("a");
  runs.ended = false;
  ASSERT_TRUE(shelf.put(runs, kNow));
  EXPECT_TRUE(has(shelf, "a"));
}

TEST(ResponsesShelf, TellsTheTurnsOldestFirst) {
  Shelf shelf = shelf_with({});
  ASSERT_TRUE(shelf.put(response("a"), kNow));
  ASSERT_TRUE(shelf.put(response("b", kNow, "a"), kNow));
  const auto turns = shelf.turns("t", "b", kNow, kBytesMax);
  ASSERT_TRUE(turns);
  ASSERT_EQ(turns->size(), 2u);
  EXPECT_EQ((*turns)[0].input, R"([{"id":"ia"}])");
  EXPECT_EQ((*turns)[1].input, R"([{"id":"ib"}])");
  ASSERT_TRUE(shelf.remove("t", "a"));
  EXPECT_FALSE(shelf.turns("t", "b", kNow, kBytesMax));
}

TEST(ResponsesShelf, KnowsTheConversationOfATurn) {
  Shelf shelf = shelf_with({});
  Kept turn = response("a");
  turn.conversation = "conv_1";
  turn.told = "msg_1";
  ASSERT_TRUE(shelf.put(turn, kNow));
  const auto found = shelf.find("t", "a", kNow);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->conversation, "conv_1");
  EXPECT_EQ(found->told, "msg_1");
}

TEST(ResponsesShelf, TellsNoMoreTurnsThanMayBeBuiltOn) {
  Shelf shelf = shelf_with({});
  ASSERT_TRUE(shelf.put(response("a"), kNow));
  ASSERT_TRUE(shelf.put(response("b", kNow, "a"), kNow));
  const std::size_t both = 2 * size_of(response("a"));
  EXPECT_TRUE(shelf.turns("t", "b", kNow, both));
  const auto more = shelf.turns("t", "b", kNow, both - 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::context_too_long);
}

TEST(ResponsesShelf, WhatHadNotEndedHasFailedWhenItIsOpenedAgain) {
  const std::string path = testing::TempDir() + "/responses-shelf-test.db";
  std::remove(path.c_str());
  {
    Shelf shelf = shelf_with({}, path);
    Kept runs = response("a");
    runs.ended = false;
    ASSERT_TRUE(shelf.put(runs, kNow));
    ASSERT_TRUE(shelf.put(response("b"), kNow));
  }
  Shelf again = shelf_with({}, path);
  const auto failed = again.find("t", "a", kNow), other = again.find("t", "b", kNow);
  EXPECT_TRUE(failed->ended);
  EXPECT_NE(failed->body.find(R"("status":"failed")"), std::string::npos);
  EXPECT_NE(failed->body.find("restarted"), std::string::npos);
  EXPECT_EQ(other->body, response("b").body);
}

}  // namespace
}  // namespace spillway::responses
