// Slots are kept while a sequence is in every step, and lost with the first that it misses.
#include "backends/local/cuda/token_slots.h"

#include <gtest/gtest.h>

namespace spillway::local::cuda {
namespace {

TEST(TokenSlots, TheDeviceHoldsWhatItDrew) {
  TokenSlots slots(2);
  EXPECT_EQ(slots.id_for(7, 42), 42);
  const int slot = slots.slot_for(7);
  EXPECT_EQ(slots.slot_for(7), slot);
  slots.end_step();
  slots.record(7, 42);
  EXPECT_EQ(slots.id_for(7, 42), ~slot);
  EXPECT_EQ(slots.id_for(7, 41), 41);  // Another token was chosen in its place.
  EXPECT_EQ(slots.id_for(8, 42), 42);
}

TEST(TokenSlots, ATokenThatNobodyHasSeenYetIsNamedByItsSlot) {
  TokenSlots slots(2);
  const int slot = slots.slot_for(7);
  slots.end_step();
  EXPECT_EQ(slots.id_for(7, kTokenUnderWay), ~slot);
  EXPECT_EQ(slots.slot_for(7), slot);
  slots.end_step();
  slots.record(7, 42);  // Of the step before the one under way.
  EXPECT_EQ(slots.id_for(7, kTokenUnderWay), ~slot);
}

TEST(TokenSlots, AStepWithoutTheSequenceFreesItsSlot) {
  TokenSlots slots(2);
  const int first = slots.slot_for(1);
  const int second = slots.slot_for(2);
  EXPECT_NE(first, second);
  EXPECT_EQ(slots.slot_for(3), -1);
  slots.end_step();
  slots.record(1, 5);
  slots.record(3, 5);  // Has no slot: nothing happens.
  slots.slot_for(2);
  slots.end_step();
  EXPECT_EQ(slots.id_for(1, 5), 5);
  EXPECT_EQ(slots.slot_for(3), first);
}

}  // namespace
}  // namespace spillway::local::cuda
