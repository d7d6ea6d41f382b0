// What is told of a request once it is over, for its class's terms to follow.
#include "gateway/request/settled.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Settled, OnlyWhatProvidersAskIsSpent) {
  Receipt receipt;
  receipt.parts = {{.target = "local", .here = true, .cost_nano_usd = 7'000},
                   {.target = "cloud", .cost_nano_usd = 500},
                   {.target = "cloud", .lost = true, .cost_nano_usd = 20}};
  receipt.cost_nano_usd = 7'520;
  receipt.could_stay = true;
  EXPECT_EQ(settled_of(receipt).cost, 520);
}

TEST(Settled, WhatOnlyProvidersServeIsBoughtByWhoNamesIt) {
  Receipt receipt;
  receipt.parts = {{.target = "cloud", .cost_nano_usd = 500}};
  EXPECT_EQ(settled_of(receipt).cost, 0);
}

}  // namespace
}  // namespace spillway
