// What only an attacker writes, seen before it is parsed.
#include "backends/contract/json_depth.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway {
namespace {

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string with_members(int count) {
  std::string text = "{\"k0\":\":{[\"";
  for (int i = 1; i < count; ++i) text += ",\"k" + std::to_string(i) + "\":0";
  return text + "}";
}

std::string repeated(const std::string& text, int times) {
  std::string list = "[";
  for (int i = 0; i < times; ++i) list += (i == 0 ? "" : ",") + text;
  return list + "]";
}

TEST(JsonDepth, BracketsInStringsNestNothing) {
  EXPECT_FALSE(nests_deeper_than(nested(8), 8));
  EXPECT_TRUE(nests_deeper_than(nested(9), 8));
  EXPECT_FALSE(nests_deeper_than("[\"" + nested(9) + "\\\"[[[[[[[[\"]", 8));
}

TEST(JsonDepth, ValuesAreCountedWhereTheyStand) {
  EXPECT_FALSE(has_more_values(repeated("0", 9), 8));
  EXPECT_TRUE(has_more_values(repeated("0", 10), 8));
  EXPECT_TRUE(has_more_values(nested(9), 8));
  EXPECT_FALSE(has_more_values("\"" + repeated("{}", 20) + "\"", 8));
}

TEST(JsonDepth, WhatIsTooLargeToBeParsedIsSeen) {
  EXPECT_FALSE(is_outsized(""));
  EXPECT_FALSE(is_outsized("no JSON: ]]}}:"));
  EXPECT_FALSE(is_outsized(nested(64)));
  EXPECT_TRUE(is_outsized(nested(65)));
  EXPECT_TRUE(is_outsized(std::string(1'000'000, '{')));
  EXPECT_FALSE(is_outsized(with_members(2'048)));
  EXPECT_TRUE(is_outsized(with_members(2'049)));
  EXPECT_FALSE(is_outsized(repeated(with_members(2'000), 50)));
  EXPECT_TRUE(is_outsized(repeated(with_members(2'000), 51)));
}

}  // namespace
}  // namespace spillway
