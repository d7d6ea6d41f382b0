// Who may send how much at once.
#include "gateway/unread_bodies.h"

#include <gtest/gtest.h>

#include <vector>

namespace spillway {
namespace {

TEST(UnreadBodies, ATenantMayTakeAQuarter) {
  UnreadBodies bodies(400);
  auto one = bodies.enter("a", 60);
  const auto two = bodies.enter("a", 40);
  EXPECT_TRUE(one && two);
  const auto more = bodies.enter("a", 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::overloaded);
  EXPECT_TRUE(more.error().retry_after);
  EXPECT_TRUE(bodies.enter("b", 100));
  one->reset();
  EXPECT_TRUE(bodies.enter("a", 60)) << "what was given back";
}

TEST(UnreadBodies, AllTogetherMayTakeSoMuch) {
  UnreadBodies bodies(400);
  std::vector<Result<UnreadBodies::Leave>> leaves;
  for (const char* tenant : {"a", "b", "c", "d"}) leaves.push_back(bodies.enter(tenant, 100));
  EXPECT_FALSE(bodies.enter("e", 1));
  leaves.pop_back();
  EXPECT_TRUE(bodies.enter("e", 100));
}

}  // namespace
}  // namespace spillway
