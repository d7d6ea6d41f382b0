// What is wrong with a condition is told where it is wrong; whatever is written, nothing crashes.
#include "tests/unit/language_facts.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace spillway::language {
namespace {

struct Wrong {
  std::string text;
  std::size_t at;
  std::string message;
  std::string unknown = {};
};

std::ostream& operator<<(std::ostream& out, const Wrong& wrong) { return out << wrong.text; }

class LanguageErrors : public testing::TestWithParam<Wrong> {};

TEST_P(LanguageErrors, SaysWhatAndWhere) {
  const Wrong& wrong = GetParam();
  const auto compiled = compile(wrong.text, test_targets());
  const auto* const mistake = std::get_if<Mistake>(&compiled);
  ASSERT_NE(mistake, nullptr);
  EXPECT_EQ(mistake->at, wrong.at) << mistake->message;
  EXPECT_EQ(mistake->message, wrong.message);
  EXPECT_EQ(mistake->unknown, wrong.unknown);
  EXPECT_EQ(mistake->known.empty(), wrong.unknown.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Each, LanguageErrors,
    testing::Values(
        Wrong{"", 0, "expected a fact or a value, but it ends here"},
        Wrong{"prompt_tokens", 0,
              "is a number: an `if` needs a condition, such as queue.tokens > 9000"},
        Wrong{"queue.tokns > 9", 0, "there is no fact 'queue.tokns'", "queue.tokns"},
        Wrong{"streaming and promt_tokens > 9", 14, "there is no fact 'promt_tokens'",
              "promt_tokens"},
        Wrong{"predicted_ttft > 1s", 0, "of which target? Write predicted_ttft(NAME)"},
        Wrong{"predicted_ttft(ai-hb) > 1s", 15, "there is no target 'ai-hb'", "ai-hb"},
        Wrong{"predicted_ttft(ai-hub > 1s", 15, "there is no target 'ai-hub > 1s'", "ai-hub > 1s"},
        Wrong{"predicted_ttft(ai-hub", 21, "expected `)`, but it ends here"},
        Wrong{"ttft_p99(local) > 1s", 9, "`ttft_p99` is known of providers alone"},
        Wrong{"class(local) == 'a'", 0, "`class` is asked of no target"},
        Wrong{"class == batch", 9, "a text stands in quotes: write 'batch'"},
        Wrong{"streaming and batch", 14, "there is no fact 'batch'", "batch"},
        Wrong{"price(local) < $0.10", 15, "'$': write an amount as 0.10usd"},
        Wrong{"price(local) < $", 15, "'$': write an amount as 0.10usd"},
        Wrong{"kv.free < 20 %", 13, "write % right behind its number: 20%"},
        Wrong{"prompt_tokens > 50,000", 16, "write the number as 50000"},
        Wrong{"prompt_tokens > 1,050,000 and streaming", 16, "write the number as 1050000"},
        Wrong{"prompt_tokens > 50, 000", 18, "expected `and`, `or` or the end, found ','"},
        Wrong{"prompt_tokens > 50_000", 16, "write the number as 50000"},
        Wrong{"prompt_tokens > 1.5k", 16, "write the number as 1500"},
        Wrong{"prompt_tokens > 2M", 16, "write the number as 2000000"},
        Wrong{"prompt_tokens > 1e6", 16, "write the number as 1000000"},
        Wrong{"prompt_tokens > 1e300", 17,
              "'e' is no unit: after a number may stand %, ms, s, m, h (also us, ns) or usd"},
        Wrong{"kv.free < 20%%", 12,
              "'%%' is no unit: after a number may stand %, ms, s, m, h (also us, ns) or usd"},
        Wrong{"streaming AND streaming", 10, "'AND': write `and`"},
        Wrong{"NOT streaming", 0, "'NOT': write `not`"},
        Wrong{"prompt_tokens ≥ 5", 14, "'≥': write `>=`"},
        Wrong{"class > 'a'", 6, "`>` does not go with a text and a text"},
        Wrong{"price(ai-hub) < 0.02", 14,
              "`<` does not go with an amount of money and a number: write a unit, such as "
              "0.02usd"},
        Wrong{"sla.ttft > 800", 9,
              "`>` does not go with a duration and a number: write a unit, such as 800ms"},
        Wrong{"sla.ttft + price(local) > 1s", 9,
              "`+` does not go with a duration and an amount of money"},
        Wrong{"sla.ttft * sla.ttft > 1s", 9, "`*` does not go with a duration and a duration"},
        Wrong{"2 / sla.ttft > 1", 2,
              "`/` does not go with a number and a duration: write a unit, such as 800ms"},
        Wrong{"time + 1h > 22:00", 5, "`+` does not go with a time of day and a duration"},
        Wrong{"-class == 'a'", 0, "`-` does not go with a text"},
        Wrong{"1 < prompt_tokens < 9", 18, "comparisons do not chain: write a < b and b < c"},
        Wrong{"prompt_tokens and streaming", 0, "`and` joins conditions; this is a number"},
        Wrong{"streaming or 5", 13, "`or` joins conditions; this is a number"},
        Wrong{"not class", 4, "`not` joins conditions; this is a text"},
        Wrong{"prompt_tokens = 5", 14, "'=': write `==`"},
        Wrong{"streaming && streaming", 10, "'&&': write `and`"},
        Wrong{"streaming || streaming", 10, "'||': write `or`"},
        Wrong{"!streaming", 0, "'!': write `not`"},
        Wrong{"streaming # no", 10, "'#' means nothing here"},
        Wrong{"streaming \xc3\xa4", 10, "a character that means nothing here"},
        Wrong{"class == 'a", 9, "a quote that is never closed"},
        Wrong{"prompt_tokens > 5 parsecs", 18, "expected `and`, `or` or the end, found 'parsecs'"},
        Wrong{"sla.ttft > 5min", 12,
              "'min' is no unit: after a number may stand %, ms, s, m, h (also us, ns) or usd"},
        Wrong{"prompt_tokens > 5.", 16, "'5.' is not a number"},
        Wrong{"prompt_tokens > 1.2.3", 16, "'1.2.3' is not a number"},
        Wrong{"time > 24:00", 7, "'24:00' is not a time of day such as 06:30"},
        Wrong{"time > 6:30", 7, "'6:30' is not a time of day such as 06:30"},
        Wrong{"class in 'a'", 9, "expected a list such as ['a', 'b'], found 'a'"},
        Wrong{"class in []", 10, "expected a value; a text stands in quotes, found ']'"},
        Wrong{"class in ['a', 5]", 15, "expected a text, found a number"},
        Wrong{"class in ['a' 'b']", 14, "expected `,` or `]`, found 'b'"},
        Wrong{"class in [batch]", 10, "expected a value; a text stands in quotes, found 'batch'"},
        Wrong{"streaming in [true]", 10, "a condition is in no list"},
        Wrong{"(streaming", 10, "expected `)`, but it ends here"},
        Wrong{"streaming)", 9, "expected `and`, `or` or the end, found ')'"},
        Wrong{"streaming and", 13, "expected a fact or a value, but it ends here"},
        Wrong{std::string(17, '(') + "streaming" + std::string(17, ')'), 16,
              "nested too deep: at most 16 levels"},
        Wrong{std::string(4'097, ' '), 0, "is longer than 4,096 bytes"}));

TEST(LanguageErrorsAtLimits, AsDeepAndAsLongAsAllowed) {
  const std::string deep = std::string(16, '(') + "streaming" + std::string(16, ')');
  EXPECT_TRUE(std::holds_alternative<Program>(compile(deep, test_targets())));
  std::string longest = "1";
  while (longest.size() < 4'088) longest += "+1";
  longest += ">0";
  const auto compiled = compile(longest, test_targets());
  ASSERT_TRUE(std::holds_alternative<Program>(compiled));
  EXPECT_TRUE(holds(std::get<Program>(compiled), TestFacts()));
}

// The deepest stack that can be written: every level leaves a comparison, a sum and a product open.
TEST(LanguageErrorsAtLimits, TheStackHoldsWhateverMayBeWritten) {
  std::string text = "1";
  for (int level = 0; level < 16; ++level) text = "1 - 1 * (" + text + ")";
  text += " > 1 - 1 * " + text;
  const auto compiled = compile(text, test_targets());
  ASSERT_TRUE(std::holds_alternative<Program>(compiled));
  EXPECT_TRUE(holds(std::get<Program>(compiled), TestFacts()));
}

// Anything at all: an answer or a mistake inside the text, and what compiles can be evaluated.
TEST(LanguageFuzz, NothingCrashes) {
  const std::vector<std::string> pieces{"class",
                                        "queue.tokens",
                                        "predicted_ttft(",
                                        "local",
                                        "ai-hub",
                                        ")",
                                        "(",
                                        "[",
                                        "]",
                                        ",",
                                        "and",
                                        "or",
                                        "not",
                                        "in",
                                        "==",
                                        "!=",
                                        "<",
                                        "<=",
                                        ">",
                                        ">=",
                                        "+",
                                        "-",
                                        "*",
                                        "/",
                                        "'a'",
                                        "\"b\"",
                                        "'",
                                        "5",
                                        "800ms",
                                        "0.02usd",
                                        "20%",
                                        "22:00",
                                        "1.",
                                        "true",
                                        "false",
                                        "streaming",
                                        "time",
                                        ".",
                                        "_",
                                        "\xff",
                                        "\n",
                                        std::string(1, '\0'),
                                        "9999999999999999999999",
                                        "0.0000001ns",
                                        "&&",
                                        "!"};
  std::mt19937 random(20'260'714);
  int good = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    const int count = std::uniform_int_distribution<int>(1, 12)(random);
    for (int j = 0; j < count; ++j) {
      text += pieces[std::uniform_int_distribution<std::size_t>(0, pieces.size() - 1)(random)];
      if (random() % 4 != 0) text += ' ';
    }
    const auto compiled = compile(text, test_targets());
    if (const auto* mistake = std::get_if<Mistake>(&compiled)) {
      ASSERT_LE(mistake->at, text.size()) << text;
      ASSERT_FALSE(mistake->message.empty()) << text;
      continue;
    }
    ++good;
    (void)holds(std::get<Program>(compiled), random_facts(random));
  }
  EXPECT_GT(good, 300);
}

}  // namespace
}  // namespace spillway::language
