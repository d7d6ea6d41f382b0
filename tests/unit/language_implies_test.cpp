// What is said of conditions before any fact is known is true of every fact.
#include "config/language/implies.h"
#include "tests/unit/language_facts.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace spillway::language {
namespace {

Tree tree_of(const std::string& text) {
  auto tree = parse(text, test_targets());
  EXPECT_TRUE(std::holds_alternative<Tree>(tree)) << text;
  return std::get<Tree>(std::move(tree));
}

TEST(LanguageImplies, Constants) {
  for (const std::string text :
       {"true", "1 < 2", "not false", "streaming or true", "queue.tokens >= 0", "kv.free <= 100%",
        "queue.tokens > -1", "-5 + 2 < queue.tokens", "not (1 > 2 and streaming)",
        "0 <= prompt_tokens", "time < 23:59 or 5 > 4"})
    EXPECT_EQ(constant(tree_of(text)), true) << text;
  for (const std::string text :
       {"false", "streaming and 2 < 1", "queue.tokens < 0", "kv.free > 150%", "queue.tokens == -1",
        "kv.free > 3 / 2", "'a' == 'b'", "queue.tokens > 90 and queue.tokens < 10",
        "kv.free == 20% and kv.free > 0.5",
        "streaming and (prompt_tokens > 5 and (class == 'a' and prompt_tokens <= 5))"})
    EXPECT_EQ(constant(tree_of(text)), false) << text;
  for (const std::string text :
       {"streaming", "queue.tokens > 0", "kv.free < 100%", "deadline_left >= 0s",
        "queue.tokens > 10 and queue.tokens < 90", "queue.tokens > 90 or queue.tokens < 10",
        "predicted_ttft(local) > 9s and predicted_ttft(ai-hub) < 1s"})
    EXPECT_EQ(constant(tree_of(text)), std::nullopt) << text;
}

TEST(LanguageImplies, ByHand) {
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"queue.tokens > 5", "queue.tokens>5"},
      {"class == \"a\"", "class == 'a'"},
      {"streaming and kv.free < 0.5", "streaming"},
      {"streaming and kv.free < 0.5", "kv.free < 50% and streaming"},
      {"queue.tokens > 9000", "queue.tokens > 100"},
      {"queue.tokens == 9000", "100 < queue.tokens"},
      {"queue.tokens > 5", "queue.tokens >= 5"},
      {"class == 'a'", "class in ['a', 'b']"},
      {"class in ['b', 'a']", "class in ['a', 'b', 'c']"},
      {"streaming", "streaming or queue.tokens > 5"},
      {"streaming and (class == 'a' or class == 'b')", "class in ['a', 'b']"},
  };
  for (const auto& [one, other] : pairs)
    EXPECT_TRUE(Outline(tree_of(one)).implies(Outline(tree_of(other)))) << one << " → " << other;
  const std::vector<std::pair<std::string, std::string>> not_so{
      {"queue.tokens >= 5", "queue.tokens > 5"},
      {"queue.tokens > 5", "queue.requests > 5"},
      {"predicted_ttft(local) > 5s", "predicted_ttft(ai-hub) > 5s"},
      {"streaming", "streaming and kv.free < 0.5"},
      {"streaming or class == 'a'", "streaming"},
      {"class != 'a'", "class == 'a'"},
      {"not streaming", "streaming"},
      {"class in ['a', 'b']", "class == 'a'"},
  };
  for (const auto& [one, other] : not_so)
    EXPECT_FALSE(Outline(tree_of(one)).implies(Outline(tree_of(other)))) << one << " → " << other;
}

class Atoms {
 public:
  explicit Atoms(unsigned seed) : random(seed) {}

  std::string condition(int depth) {
    if (depth > 0 && random() % 3 != 0) {
      const std::string word = random() % 2 == 0 ? " and " : " or ";
      return "(" + condition(depth - 1) + word + condition(depth - 1) + ")";
    }
    const std::string value = std::to_string(random() % 8);
    const std::string symbol =
        std::vector<std::string>{" < ", " <= ", " > ", " >= ", " == ", " != "}[random() % 6];
    switch (random() % 5) {
      case 0: return "queue.tokens" + symbol + value;
      case 1: return value + symbol + "queue.tokens";
      case 2: return "predicted_ttft(ai-hub)" + symbol + value + "s";
      case 3: return random() % 2 == 0 ? "streaming" : "not streaming";
      default: {
        const std::string text = std::string("'") + static_cast<char>('a' + random() % 4) + "'";
        return random() % 2 == 0 ? "class == " + text : "class in ['a', " + text + "]";
      }
    }
  }

  std::mt19937 random;
};

TEST(LanguageImplies, WhatIsSaidHoldsForRandomFacts) {
  Atoms atoms(7);
  int said = 0, constants = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string one = atoms.condition(2), other = atoms.condition(1);
    const Tree a = tree_of(one), b = tree_of(other);
    const bool implied = Outline(a).implies(Outline(b));
    const auto fixed = constant(a);
    said += implied;
    constants += fixed.has_value();
    const Program first = compile(a), second = compile(b);
    for (int j = 0; j < 10; ++j) {
      const TestFacts facts = random_facts(atoms.random);
      if (implied && holds(first, facts)) {
        ASSERT_TRUE(holds(second, facts)) << one << " → " << other;
      }
      if (fixed) {
        ASSERT_EQ(holds(first, facts), *fixed) << one;
      }
    }
  }
  EXPECT_GT(said, 300);
  EXPECT_GT(constants, 100);
}

// An `or` of `and`s held against an `and` of `or`s: no pair of parts is looked at twice.
TEST(LanguageImplies, CostsTheProductOfTheLengths) {
  std::string one, other;
  for (int i = 0; i < 15; ++i) {
    const std::string n = std::to_string(i);
    one += (i == 0 ? "" : " or ") + ("queue.tokens == " + n + " and kv.free < 0." + n);
    other +=
        (i == 0 ? "" : " and ") + ("(queue.requests == " + n + " or prompt_tokens < " + n + ")");
  }
  const Outline a(tree_of(one)), b(tree_of(other));
  for (const auto& [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    std::size_t left = 120 * 120;
    EXPECT_FALSE(from->implies(*to, left));
    EXPECT_GT(left, 0U);
  }
}

TEST(LanguageImplies, NothingIsSureOnceTheStepsAreSpent) {
  const Outline one(tree_of("streaming and class in ['a', 'b']"));
  const Outline other(tree_of("class in ['a', 'b', 'c']"));
  std::size_t enough = 9, too_few = 8, none = 0;
  EXPECT_TRUE(one.implies(other, enough));
  EXPECT_EQ(enough, 0U);
  EXPECT_FALSE(one.implies(other, too_few));
  EXPECT_FALSE(one.implies(other, none));
}

}  // namespace
}  // namespace spillway::language
