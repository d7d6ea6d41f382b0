// What is guessed of a text from what stands in it, and when a guess is worth its while.
#include "backends/local/sample/ngram_drafter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {
namespace {

std::vector<std::int32_t> tokens_of(std::string_view text) { return {text.begin(), text.end()}; }

// Reads `text` token by token, then says how it goes on.
std::string guess(std::string_view text, DraftLimits limits, double cost = 0.0) {
  auto tokens = tokens_of(text);
  NgramDrafter drafter(limits);
  for (std::size_t end = 1; end <= tokens.size(); ++end) drafter.look({tokens.data(), end});
  const int worth = drafter.worth(cost);
  std::string said;
  for (std::size_t i = 0; i < static_cast<std::size_t>(worth); ++i) {
    tokens.push_back(tokens[drafter.begin() + i]);
    said += static_cast<char>(tokens.back());
  }
  return said;
}

TEST(NgramDrafter, GoesOnAsBefore) {
  const DraftLimits limits{.drafts = 4, .longest = 3};
  EXPECT_EQ(guess("the dam holds; the dam h", limits), "olds");
  EXPECT_EQ(guess("abcabcabc", limits), "abca") << "behind the end it goes on with itself";
  EXPECT_EQ(guess("aaaaaa", limits), "aaaa");
}

TEST(NgramDrafter, TheMostTokensCountThenTheLastPlace) {
  const DraftLimits limits{.drafts = 1, .longest = 3};
  EXPECT_EQ(guess("xyz1-z2-xyz1-z2-xyz", limits), "1") << "not what is behind the nearer z";
  EXPECT_EQ(guess("ab1ab2ab1ab2ab", {.drafts = 1, .longest = 2}), "2");
}

TEST(NgramDrafter, WhatWasNeverRightIsNotGuessed) {
  const DraftLimits limits{.drafts = 4, .longest = 3};
  EXPECT_EQ(guess("a", limits), "");
  EXPECT_EQ(guess("abcdefg", limits), "");
  EXPECT_EQ(guess("abca", limits), "") << "the first guess of its kind";
  EXPECT_EQ(guess("a1a2a3a4a5a6a", limits), "");
}

// Of three guesses one is right.
TEST(NgramDrafter, GuessesAsFarAsTheyAreWorthIt) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "aab";
  const DraftLimits limits{.drafts = 8, .longest = 1};
  EXPECT_EQ(guess(text, limits, 0.5).size(), 0u);
  EXPECT_EQ(guess(text, limits, 0.2).size(), 1u);
  EXPECT_EQ(guess(text, limits, 0.05).size(), 2u);
  EXPECT_EQ(guess(text, limits, 0.0).size(), 8u);
  EXPECT_EQ(guess(text, {.drafts = 0, .longest = 1}), "");
}

// Beside a search by definition, over texts of few letters, whose ends stand in them often.
TEST(NgramDrafter, FindsWhatADefinitionFinds) {
  std::mt19937 random(7);
  for (int turn = 0; turn < 2'000; ++turn) {
    const auto length = std::uniform_int_distribution<std::size_t>(2, 40)(random);
    std::string text;
    for (std::size_t i = 0; i < length; ++i)
      text += static_cast<char>('a' + std::uniform_int_distribution<int>(0, 2)(random));
    std::size_t expected = 0;
    for (std::size_t alike = 4; alike > 0 && expected == 0; --alike) {
      if (alike >= length) continue;
      const auto at = text.rfind(text.substr(length - alike), length - alike - 1);
      if (at != std::string::npos) expected = at + alike;
    }
    const auto tokens = tokens_of(text);
    NgramDrafter drafter({.drafts = 1, .longest = 4});
    drafter.look(tokens);
    if (expected > 0) {
      EXPECT_EQ(drafter.begin(), expected) << text;
    }
  }
}

}  // namespace
}  // namespace spillway::local
