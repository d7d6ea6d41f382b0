// Conditions hold when they should: by hand for the language's corners, and thousands of random
// ones beside an evaluator that shares nothing with the program's.
#include "tests/unit/language_facts.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace spillway::language {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

bool holds_of(const std::string& text, const TestFacts& facts) {
  const auto compiled = compile(text, test_targets());
  const auto* const program = std::get_if<Program>(&compiled);
  EXPECT_NE(program, nullptr) << text << ": " << std::get<Mistake>(compiled).message;
  return program != nullptr && holds(*program, facts);
}

TEST(LanguageEvaluation, Literals) {
  const TestFacts none;
  for (const std::string text : {"20% == 0.2",
                                 "1500ms == 1.5s",
                                 "90m == 1.5h",
                                 "250us == 0.25ms",
                                 "1000ns == 1us",
                                 "700ms == 0.7s",
                                 "0.3s == 300ms",
                                 "0.02usd == 2 * 0.01usd",
                                 "06:30 < 22:00",
                                 "'a b' == \"a b\"",
                                 "true",
                                 "not false",
                                 "1s / 250ms == 4",
                                 "1usd / 0.25usd == 4",
                                 "1s * 2 == 2 * 1s",
                                 "-5 < -4",
                                 "--5 == 5",
                                 "2 + 3 * 4 == 14",
                                 "(2 + 3) * 4 == 20",
                                 "10 - 2 - 3 == 5",
                                 "12 / 2 / 3 == 2",
                                 "true or false and false",
                                 "not false and true",
                                 "not (false and true)",
                                 "3 in [1, 2, 3]",
                                 "3 not in [1, 2]",
                                 "'a' in ['b', 'a']",
                                 "2s in [2000ms]",
                                 "1 / 0 > 1000000"}) {
    EXPECT_TRUE(holds_of(text, none)) << text;
  }
}

TEST(LanguageEvaluation, FactsOfTargetsWithAnyName) {
  TestFacts facts;
  facts.set(Fact::predicted_ttft, 0.5, 0);
  facts.set(Fact::predicted_ttft, 0.7, 1);
  facts.set(Fact::predicted_ttft, kInfinite, 2);
  EXPECT_TRUE(holds_of("predicted_ttft(local) == 500ms", facts));
  EXPECT_TRUE(holds_of("predicted_ttft( 'ai-hub' ) == 700ms", facts));
  EXPECT_TRUE(holds_of("predicted_ttft(7b-host) > 24h", facts));
  EXPECT_TRUE(holds_of("predicted_ttft(ai-hub) - predicted_ttft(local) > 0.1s", facts));
  EXPECT_FALSE(holds_of("predicted_ttft(7b-host) - predicted_ttft(7b-host) >= 0s", facts));
}

TEST(LanguageEvaluation, TextsAndNights) {
  TestFacts facts;
  facts.set(Fact::request_class, std::string("batch"));
  facts.set(Fact::time, 23.5 * 3'600.0);
  EXPECT_TRUE(holds_of("class == 'batch' and (time >= 22:00 or time < 06:00)", facts));
  EXPECT_TRUE(holds_of("class in ['chat', 'batch'] and label == ''", facts));
  EXPECT_FALSE(holds_of("class != 'batch' or time < 22:00", facts));
}

// What is not needed is not asked for.
TEST(LanguageEvaluation, AsksOnlyForWhatCounts) {
  class Counting final : public FactSource {
   public:
    double number(const FactRef& fact) const override {
      asked.push_back(fact.fact);
      return 1.0;
    }
    std::string_view text(const FactRef&) const override { return ""; }
    mutable std::vector<Fact> asked;
  } facts;
  const auto compiled =
      compile("prompt_tokens > 5 and queue.tokens > 5 or streaming or kv.free > 0", test_targets());
  EXPECT_TRUE(holds(std::get<Program>(compiled), facts));
  EXPECT_EQ(facts.asked, (std::vector{Fact::prompt_tokens, Fact::streaming}));
}

// A random expression as text, and the same as a function.
struct Made {
  std::string text;
  std::function<double(const TestFacts&)> value;
};

class Maker {
 public:
  explicit Maker(unsigned seed) : random(seed) {}

  Made condition(int depth) {
    switch (depth == 0 ? below(3) : below(7)) {
      case 0: return fact(Fact::streaming, "streaming", -1);
      case 1: return compare(depth);
      case 2: return among();
      case 3: return joined(condition(depth - 1), "and", condition(depth - 1));
      case 4: return joined(condition(depth - 1), "or", condition(depth - 1));
      case 5: {
        const Made inner = condition(depth - 1);
        return {"not (" + inner.text + ")",
                [inner](const TestFacts& facts) { return inner.value(facts) == 0.0; }};
      }
      default: return texts();
    }
  }

  std::mt19937 random;

 private:
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); }

  static Made fact(Fact which, std::string text, int target) {
    return {std::move(text),
            [which, target](const TestFacts& facts) { return facts.number({which, target}); }};
  }

  static Made joined(const Made& a, const std::string& word, const Made& b) {
    const bool both = word == "and";
    return {"(" + a.text + " " + word + " " + b.text + ")", [a, b, both](const TestFacts& facts) {
              const bool left = a.value(facts) != 0.0, right = b.value(facts) != 0.0;
              return both ? left && right : left || right;
            }};
  }

  // Of numbers, durations or money, told apart by the unit.
  Made amount(const std::string& unit, int depth) {
    const double scale = unit == "usd" ? 1e9 : 1.0;
    switch (depth == 0 ? below(2) : below(5)) {
      case 0: {
        const int value = below(8);
        return {std::to_string(value) + unit, [=](const TestFacts&) { return value * scale; }};
      }
      case 1:
        if (unit == "s") return fact(Fact::predicted_ttft, "predicted_ttft(ai-hub)", 1);
        if (unit == "usd") return fact(Fact::price, "price(7b-host)", 2);
        return fact(Fact::queue_tokens, "queue.tokens", -1);
      case 2: {
        const Made a = amount(unit, depth - 1), b = amount(unit, depth - 1);
        return {"(" + a.text + " + " + b.text + ")",
                [=](const TestFacts& facts) { return a.value(facts) + b.value(facts); }};
      }
      case 3: {
        const Made a = amount(unit, depth - 1), b = amount(unit, depth - 1);
        return {"(" + a.text + " - " + b.text + ")",
                [=](const TestFacts& facts) { return a.value(facts) - b.value(facts); }};
      }
      default: {
        const Made a = amount(unit, depth - 1), b = amount("", depth - 1);
        return {a.text + " * " + b.text,
                [=](const TestFacts& facts) { return a.value(facts) * b.value(facts); }};
      }
    }
  }

  Made compare(int depth) {
    const std::string unit = std::vector<std::string>{"", "s", "usd"}[below(3)];
    const Made a = amount(unit, std::min(depth, 2)), b = amount(unit, std::min(depth, 2));
    const int which = below(6);
    const std::string symbol = std::vector<std::string>{"<", "<=", ">", ">=", "==", "!="}[which];
    return {a.text + " " + symbol + " " + b.text, [=](const TestFacts& facts) {
              const double x = a.value(facts), y = b.value(facts);
              const bool results[] = {x<y, x <= y, x> y, x >= y, x == y, x != y};
              return results[which];
            }};
  }

  Made among() {
    const int a = below(8), b = below(8);
    return {"queue.requests in [" + std::to_string(a) + ", " + std::to_string(b) + "]",
            [=](const TestFacts& facts) {
              const double value = facts.number({Fact::queue_requests, -1});
              return value == a || value == b;
            }};
  }

  Made texts() {
    const std::string one(1, static_cast<char>('a' + below(4)));
    const bool same = below(2) == 0;
    return {"class " + std::string(same ? "==" : "!=") + " '" + one + "'",
            [=](const TestFacts& facts) {
              return (facts.text({Fact::request_class, -1}) == one) == same;
            }};
  }
};

TEST(LanguageEvaluation, ThousandsOfRandomConditions) {
  Maker maker(42);
  int trues = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Made made = maker.condition(4);
    if (made.text.size() > 4'096) continue;
    const auto compiled = compile(made.text, test_targets());
    ASSERT_TRUE(std::holds_alternative<Program>(compiled))
        << made.text << ": " << std::get<Mistake>(compiled).message;
    for (int j = 0; j < 5; ++j) {
      const TestFacts facts = random_facts(maker.random);
      const bool expected = made.value(facts) != 0.0;
      ASSERT_EQ(holds(std::get<Program>(compiled), facts), expected) << made.text;
      trues += expected;
    }
  }
  EXPECT_GT(trues, 20'000);
  EXPECT_LT(trues, 80'000);
}

}  // namespace
}  // namespace spillway::language
