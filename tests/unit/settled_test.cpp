// What is told of a request once it is over, for its class's terms to follow.
#include "gateway/settled.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Settled, OnlyWhatProvidersAskIsSpent) {
  Receipt receipt;
  receipt.parts = {{.target = "local", .here = true, .cost_nano_usd = 7'000},
                   {.target = "cloud", .cost_nano_usd = 500},
                   {.target = "cloud", .lost = true, .cost_nano_usd = 20}};
  receipt.cost_nano_usd = 7'520;
  EXPECT_EQ(settled_of(receipt).cost, 520);
}

}  // namespace
}  // namespace spillway
