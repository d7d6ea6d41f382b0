// What was read before is found again: by its owner only, as long as its memory is not wanted.
#include "backends/local/kv/block_pool.h"

#include <gtest/gtest.h>

#include <numeric>

namespace spillway::local {
namespace {

constexpr int kBlock = 16;
using Tokens = std::vector<std::int32_t>;

Tokens text(int count, std::int32_t first = 0) {
  Tokens tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Computes `tokens` for `owner` and gives the blocks back; the blocks they had.
Tokens compute(BlockPool& pool, std::string_view owner, const Tokens& tokens) {
  Tokens table;
  PrefixPosition position = pool.reuse(owner, tokens, table);
  EXPECT_TRUE(pool.grow(table, static_cast<int>(tokens.size())));
  pool.remember(owner, tokens, table, position);
  Tokens had = table;
  pool.release(table);
  return had;
}

int found(BlockPool& pool, std::string_view owner, const Tokens& tokens) {
  return pool.prefixes().cached_tokens(owner, tokens);
}

TEST(Prefixes, FindWholeBlocksButNeverTheLastToken) {
  BlockPool pool(8, kBlock);
  compute(pool, "a", text(40));
  EXPECT_EQ(found(pool, "a", text(40)), 32);
  EXPECT_EQ(found(pool, "a", text(33)), 32);
  EXPECT_EQ(found(pool, "a", text(32)), 16) << "its last token decides the next";
  EXPECT_EQ(found(pool, "a", text(15)), 0);
  Tokens other = text(40);
  other[20] = 7;
  EXPECT_EQ(found(pool, "a", other), 16);
}

TEST(Prefixes, BelongToTheirOwner) {
  BlockPool pool(8, kBlock);
  compute(pool, "a", text(40));
  EXPECT_EQ(found(pool, "b", text(40)), 0);
  compute(pool, "b", text(40));
  EXPECT_EQ(found(pool, "b", text(40)), 32);
  Tokens mine;
  Tokens theirs;
  pool.reuse("a", text(40), mine);
  pool.reuse("b", text(40), theirs);
  EXPECT_NE(mine, theirs);
}

TEST(Prefixes, AreSharedWhileInUse) {
  BlockPool pool(4, kBlock);
  compute(pool, "a", text(40));
  Tokens one;
  Tokens two;
  EXPECT_EQ(pool.reuse("a", text(40), one).blocks, 2);
  EXPECT_EQ(pool.reuse("a", text(40), two).blocks, 2);
  EXPECT_EQ(one, two);
  EXPECT_EQ(pool.blocks_free(), 2);
  pool.release(one);
  EXPECT_EQ(pool.blocks_free(), 2) << "two still has them";
  pool.release(two);
  EXPECT_EQ(pool.blocks_free(), 4);
}

TEST(Prefixes, GiveWayToThoseWhoNeedTheMemory) {
  BlockPool pool(4, kBlock);
  compute(pool, "a", text(33));
  EXPECT_EQ(pool.blocks_free(), 4);
  Tokens table;
  EXPECT_TRUE(pool.grow(table, 3 * kBlock));  // The two empty blocks, then the end of the text.
  EXPECT_EQ(found(pool, "a", text(33)), 16);
  EXPECT_TRUE(pool.grow(table, 4 * kBlock));
  EXPECT_EQ(found(pool, "a", text(33)), 0);
  pool.release(table);
}

TEST(Prefixes, TheLeastRecentlyUsedGoesFirst) {
  BlockPool pool(4, kBlock);
  compute(pool, "a", text(17, 100));
  compute(pool, "a", text(17, 200));
  compute(pool, "a", text(17, 100));
  Tokens table;
  EXPECT_TRUE(pool.grow(table, 3 * kBlock));
  EXPECT_EQ(found(pool, "a", text(17, 100)), 16);
  EXPECT_EQ(found(pool, "a", text(17, 200)), 0);
}

TEST(Prefixes, WhatTwoComputedAtOnceIsKeptOnce) {
  BlockPool pool(8, kBlock);
  Tokens one;
  Tokens two;
  PrefixPosition at_one;
  PrefixPosition at_two;
  ASSERT_TRUE(pool.grow(one, 32) && pool.grow(two, 32));
  pool.remember("a", text(32), one, at_one);
  pool.remember("a", text(32), two, at_two);
  EXPECT_EQ(at_one.node, at_two.node);
  Tokens longer = text(48);
  ASSERT_TRUE(pool.grow(two, 48));
  pool.remember("a", longer, two, at_two);
  EXPECT_EQ(found(pool, "a", text(50)), 48);
  pool.release(one);
  pool.release(two);
  EXPECT_EQ(pool.blocks_free(), 8);
}

// What hung below a block that was given away cannot be reached, and goes in its turn.
TEST(Prefixes, NothingIsLeftOfWhatIsGone) {
  BlockPool pool(4, kBlock);
  for (int round = 0; round < 100; ++round) {
    compute(pool, round % 2 == 0 ? "a" : "b", text(60, round * 1'000));
    EXPECT_EQ(pool.blocks_free(), 4);
  }
  EXPECT_EQ(found(pool, "a", text(60)), 0);
}

}  // namespace
}  // namespace spillway::local
