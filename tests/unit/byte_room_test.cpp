// Who may have how much at once.
#include "gateway/byte_room.h"

#include <gtest/gtest.h>

#include <vector>

namespace spillway {
namespace {

TEST(ByteRoom, ATenantMayTakeAQuarter) {
  ByteRoom room(400, "Send fewer.");
  auto one = room.enter("a", 60);
  const auto two = room.enter("a", 40);
  EXPECT_TRUE(one && two);
  const auto more = room.enter("a", 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::overloaded);
  EXPECT_EQ(more.error().message, "Send fewer.");
  EXPECT_TRUE(more.error().retry_after);
  EXPECT_TRUE(room.enter("b", 100));
  one->reset();
  EXPECT_TRUE(room.enter("a", 60)) << "what was given back";
}

TEST(ByteRoom, AllTogetherMayTakeSoMuch) {
  ByteRoom room(400, "Send fewer.");
  std::vector<Result<ByteRoom::Leave>> leaves;
  for (const char* tenant : {"a", "b", "c", "d"}) leaves.push_back(room.enter(tenant, 100));
  EXPECT_FALSE(room.enter("e", 1));
  leaves.pop_back();
  EXPECT_TRUE(room.enter("e", 100));
}

}  // namespace
}  // namespace spillway
