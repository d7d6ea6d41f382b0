// What requests go on from is held by leave: counted while it is held, refused where there is none.
#include "gateway/responses/last_turn.h"
#include "gateway/wall_clock.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <optional>
#include <string>

namespace spillway::responses {
namespace {

constexpr std::size_t kBytesMax = 2'000;

Kept turn_of(const std::string& id, std::size_t bytes) {
  Kept turn{id, "t", unix_seconds(), "", R"({"output":[]})", ""};
  turn.input = R"([{"id":")" + std::string(bytes, 'x') + R"("}])";
  return turn;
}

// Gives leave for so many bytes, whoever asks.
class Room {
 public:
  explicit Room(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  Result<Leave> enter(const std::string&, std::uint64_t bytes) {
    if (held_ + bytes > bytes_max_) return Error{Errc::overloaded, "full", "", std::nullopt};
    held_ += bytes;
    return Leave(this, [this, bytes](const void*) { held_ -= bytes; });
  }
  std::uint64_t held() const { return held_; }

 private:
  const std::uint64_t bytes_max_;
  std::uint64_t held_ = 0;
};

class ArchiveTest : public testing::Test {
 protected:
  ArchiveTest() { EXPECT_TRUE(shelf_->put(turn_of("resp_a", 900), unix_seconds())); }

  Result<Archive::Past> past(Archive& archive, const std::string& id, std::size_t own = 0) {
    Archive::From from;
    from.previous = id;
    from.bytes = own;
    std::optional<Result<Archive::Past>> got;
    boost::asio::io_context context;
    boost::asio::co_spawn(context, archive.past("t", std::move(from)),
                          [&](std::exception_ptr thrown, Result<Archive::Past> past) {
                            EXPECT_FALSE(thrown);
                            got.emplace(std::move(past));
                          });
    context.run();
    return std::move(*got);
  }

  Room room_{3'300}, remembered_{3'300};
  std::unique_ptr<Shelf> shelf_ =
      std::make_unique<Shelf>(std::move(*Shelf::open(":memory:", {}, unix_seconds())));
  std::unique_ptr<Conversations> conversations_ =
      std::move(*Conversations::open(":memory:", {}, unix_seconds()));
  store::DiskThread disk_{"disk"};
  Archive archive_{disk_,
                   shelf_,
                   conversations_,
                   {kBytesMax, std::bind_front(&Room::enter, &room_),
                    std::bind_front(&Room::enter, &remembered_)}};
};

TEST_F(ArchiveTest, WhatIsGoneOnFromIsHeldByLeave) {
  auto first = past(archive_, "resp_a");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_GE(room_.held(), 2 * 900U) << "it is held twice";
  const auto second = past(archive_, "resp_a");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::overloaded);
  first->leave.reset();
  EXPECT_EQ(room_.held(), 0U);
  EXPECT_TRUE(past(archive_, "resp_a"));
}

TEST_F(ArchiveTest, ARequestWithItsPastIsNoLargerThanABody) {
  EXPECT_TRUE(past(archive_, "resp_a", 1'000));
  const auto larger = past(archive_, "resp_a", 1'100);
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code, Errc::context_too_long);
  EXPECT_EQ(larger.error().param, "previous_response_id");
  EXPECT_EQ(room_.held(), 0U);
}

TEST_F(ArchiveTest, AConnectionRemembersAsMuchAsThereIsRoomFor) {
  LastTurn connection(archive_);
  ASSERT_TRUE(past(connection, ""));
  connection.ended(turn_of("resp_b", 1'000));
  EXPECT_GE(remembered_.held(), 1'000U);
  ASSERT_TRUE(past(connection, "resp_b"));
  connection.ended(turn_of("resp_c", 2'500));
  EXPECT_EQ(remembered_.held(), 0U);
  EXPECT_EQ(past(connection, "resp_c").error().kind, "previous_response_not_found");
}

TEST_F(ArchiveTest, WhatIsRememberedTakesNoRoomOfWhatIsAnswered) {
  LastTurn connection(archive_);
  ASSERT_TRUE(past(connection, ""));
  connection.ended(turn_of("resp_b", 2'000));
  EXPECT_GE(remembered_.held(), 2'000U);
  EXPECT_EQ(room_.held(), 0U);
  EXPECT_TRUE(past(archive_, "resp_a"));
}

// The request has let go of it, and the connection holds its text as long as the turn may end.
TEST_F(ArchiveTest, AConnectionHoldsTheLeaveOfTheTurnThatRunsUntilItIsOver) {
  LastTurn connection(archive_);
  ASSERT_TRUE(past(connection, "resp_a"));
  EXPECT_GE(room_.held(), 2 * 900U);
  connection.over();
  EXPECT_EQ(room_.held(), 0U) << "it failed";
  ASSERT_TRUE(past(connection, "resp_a"));
  EXPECT_FALSE(past(connection, "resp_x"));
  EXPECT_EQ(room_.held(), 0U) << "the next has begun";
  ASSERT_TRUE(past(connection, "resp_a"));
  connection.ended(turn_of("resp_c", 10));
  EXPECT_EQ(room_.held(), 0U) << "it ended";
  EXPECT_GE(remembered_.held(), 910U);
}

}  // namespace
}  // namespace spillway::responses
