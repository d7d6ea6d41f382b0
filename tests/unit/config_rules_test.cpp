// Rules and tests in a file: what is wrong with them and where, what is doubtful, and that the dump
// says where everything came from.
#include "config/effective.h"
#include "config/given.h"
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHouse = R"(targets:
  local: {kind: local, executor: synthetic, serves: tiny}
  ai-hub: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: m, price_per_million: {input: 1usd, output: 1usd}}
classes:
  chat: {match: {service_tier: fast}}
  batch: {match: {service_tier: flex}}
default_class: chat
)";  // Seven lines.

std::vector<std::string> told(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(to_string(problem));
  return lines;
}

std::vector<std::string> problems_of(const std::string& rules) {
  return told(load_text(kHouse + rules, "test").problems);
}

std::vector<std::string> warnings_of(const std::string& rules) {
  const Loaded loaded = load_text(kHouse + rules + "models: {auto: policy}\n", "test");
  EXPECT_THAT(told(loaded.problems), IsEmpty());
  return told(loaded.warnings);
}

TEST(ConfigRules, EachKeyCountsAndEachMistakeHasItsPlace) {
  EXPECT_THAT(
      problems_of(R"(rules:
  - if: queue.tokns > 9
    route: local
  - {if: "class == 'chat' and sla.ttft > 800", route: ai-hb}
  - {name: rule-1, route: local, among: [ai-hub], max_price: 1usd, message: no}
  - {name: 'a b', route: cheapest, among: [ai-hub, nobody], max_price: 5}
  - {iff: streaming, route: refuse}
  - {if: streaming}
)"),
      ElementsAre(
          "9:9: rules[0].if: there is no fact 'queue.tokns', did you mean `queue.tokens`?",
          "11:40: rules[1].if: `>` does not go with a duration and a number: write a unit, such as "
          "800ms",
          "11:55: rules[1].route: there is no target or kind of route 'ai-hb', did you mean "
          "`ai-hub`?",
          "12:12: rules[2].name: 'rule-1' is named twice",
          "12:41: rules[2].among: belongs to cloud, cheapest, cheapest_meeting_sla and fastest",
          "12:62: rules[2].max_price: belongs to cloud, cheapest, cheapest_meeting_sla and fastest",
          "12:77: rules[2].message: belongs to `route: refuse`",
          "13:12: rules[3].name: a name has letters, digits, - and _, at most 64, and begins with "
          "a letter or digit",
          "13:52: rules[3].among[1]: there is no target 'nobody'; valid here: local, ai-hub",
          "13:72: rules[3].max_price: '5' has no unit: write an amount such as 2.75usd",
          "14:6: rules[4].iff: unknown key, did you mean `if`?",
          "15:5: rules[5].route: is missing: a text"));
}

TEST(ConfigRules, PlacesInFoldedAndEscapedTexts) {
  EXPECT_THAT(problems_of(R"(rules:
  - if: >-
      streaming and
      kv.fre < 20%
    route: local
  - {if: "class == \"chat\" and kv.fre < 5%", route: local}
)"),
              ElementsAre("9:9: rules[0].if: there is no fact 'kv.fre', did you mean `kv.free`?, "
                          "at 'kv.fre < 20%'",
                          "13:10: rules[1].if: there is no fact 'kv.fre', did you mean `kv.free`?, "
                          "at 'kv.fre < 5%'"));
}

TEST(ConfigRules, TestsGiveFactsOfTheRightTypeAndExpectSomething) {
  EXPECT_THAT(
      problems_of(R"(tests:
  - {given: {clas: chat}, expect: {route: local}}
  - {given: {queue.tokens: 5s}, expect: {route: local}}
  - {given: {price(ai-hub): 1usd, predicted_ttft(ai-hb): 1s}, expect: {route: local}}
  - {given: {queue.tokens: 99999999999}, expect: {route: local}}
  - {given: {class: chat}}
  - {given: 5, expect: {route: local}}
)"),
      ElementsAre(
          "9:14: tests[0].given.clas: there is no fact 'clas', did you mean `class`?",
          "10:28: tests[1].given.queue.tokens: expected a number, found '5s'",
          "11:14: tests[2].given.price(ai-hub): cannot be given: it follows from the file and the "
          "other facts",
          "11:50: tests[2].given.predicted_ttft(ai-hb): there is no target 'ai-hb', did you mean "
          "`ai-hub`?",
          "12:14: tests[3].given.queue.tokens: '99999999999' is beyond all bounds",
          "13:5: tests[4].expect: expects nothing: give route, reason or rule",
          "14:13: tests[5].given: expected a block `fact: value`"));
}

TEST(ConfigRules, WhatCanNeverBeCannotBeGiven) {
  const std::string tests = R"(keys: {a: {secret: 'env:A', tenant: t}}
tests:
  - {given: {weekday: funday}, expect: {route: local}}
  - {given: {key: b}, expect: {route: local}}
  - {given: {tenant: u, class: bach}, expect: {route: local}}
  - {given: {kv.free: 900%}, expect: {route: local}}
  - {given: {prompt_tokens: 1.9, expected_tokens: 1.9}, expect: {route: local}}
  - {given: {deadline_left: 5h}, expect: {route: local}}
  - {given: {predicted_finish(local): 1s, predicted_ttft(local): 2s}, expect: {route: local}}
  - {given: {predicted_finish(local): 1s, predicted_ttft(ai-hub): 2s}, expect: {route: local}}
  - {given: {queue.requests: 10000, kv.free: 100%, deadline_left: 10m}, expect: {route: local}}
  - {given: {queue.requests: 10001}, expect: {route: local}}
)";
  const Loaded loaded = load_text(
      kHouse + tests, "test", [](const std::string&) { return std::optional<std::string>("key"); });
  EXPECT_THAT(
      told(loaded.problems),
      ElementsAre(
          "10:14: tests[0].given.weekday: 'funday' is no weekday; valid here: mon, tue, wed, thu, "
          "fri, sat, sun",
          "11:14: tests[1].given.key: 'b' is no key, did you mean `a`?",
          "12:14: tests[2].given.tenant: 'u' is no tenant, did you mean `t`?",
          "12:25: tests[2].given.class: 'bach' is no class, did you mean `batch`?",
          "13:14: tests[3].given.kv.free: '900%' is more than all: write a share up to 100%",
          "14:14: tests[4].given.prompt_tokens: '1.9' is not a whole number",
          "15:14: tests[5].given.deadline_left: '5h' is above limits.request_timeout",
          "16:14: tests[6].given: predicted_finish 1s is before predicted_ttft 2s",
          "19:14: tests[9].given.queue.requests: '10001' is more than the 10000 requests that can "
          "be given"));
}

TEST(ConfigRules, NamesThatTestsGiveAMeaning) {
  EXPECT_THAT(
      problems_of("rules:\n  - {name: none, route: local}\n"
                  "  - {name: held, route: local}\n  - {name: refused, route: local}\n"
                  "  - {name: nothing, route: local}\n"),
      ElementsAre(HasSubstr("9:12: rules[0].name: 'none' has a meaning of its own in tests"),
                  HasSubstr("'held'"), HasSubstr("'refused'")));
}

TEST(ConfigRules, ListsAreListsAndBounded) {
  EXPECT_THAT(problems_of("rules: {}\ntests: 5\n"),
              ElementsAre("8:1: rules: expected a list: each entry begins with `-`",
                          "9:8: tests: expected a list: each entry begins with `-`"));
  EXPECT_THAT(problems_of("rules:\ntests: []\n"), IsEmpty());
  std::string many = "rules:\n";
  for (int i = 0; i < 201; ++i) many += "  - {if: streaming, route: local}\n";
  EXPECT_THAT(problems_of(many), ElementsAre(HasSubstr("has more than 200 entries")));
}

TEST(ConfigRules, AProviderMayNotBeCalledLikeARoute) {
  EXPECT_THAT(told(load_text(R"(targets:
  cloud: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: m, price_per_million: {input: 1usd, output: 1usd}}
rules:
  - route: cloud
  - route: local_only
)",
                             "test")
                       .problems),
              ElementsAre(HasSubstr("4:12: rules[0].route: 'cloud' is a kind of route and the name "
                                    "of a provider"),
                          "5:12: rules[1].route: there is no local target"));
}

TEST(ConfigRules, WhatNothingReaches) {
  EXPECT_THAT(
      warnings_of(R"(rules:
  - {name: long, if: queue.tokens > 100, route: local}
  - {name: longer, if: queue.tokens > 9000 and streaming, route: ai-hub}
  - {name: never, if: kv.free > 200%, route: ai-hub}
  - {name: always, if: kv.free <= 100%, route: ai-hub}
  - {name: late, if: streaming, route: local}
)"),
      ElementsAre(
          "10:5: rules[1]: nothing reaches it: rule `long` (line 9) decides whenever its condition "
          "holds",
          "11:23: rules[2].if: is never true: nothing reaches the rule",
          "12:24: rules[3].if: is always true: leave `if` out if that is meant",
          "13:5: rules[4]: nothing reaches it: rule `always` (line 12) always decides"));
}

// Fifteen terms against fifteen, two hundred times: would take hours if every way were gone.
TEST(ConfigRules, LookingForThemHasAnEnd) {
  std::string one, other, rules = "rules:\n";
  for (int i = 0; i < 15; ++i) {
    one += std::string(i == 0 ? "" : " or ") + "(prompt_tokens + 2 > 5 and streaming)";
    other += std::string(i == 0 ? "" : " and ") + "(prompt_tokens + 1 > 5 or streaming)";
  }
  for (int i = 0; i < 200; ++i)
    rules += "  - {if: \"" + (i % 2 == 0 ? one : other) + "\", route: local}\n";
  EXPECT_THAT(warnings_of(rules), testing::Contains(HasSubstr("nothing reaches it")));
}

TEST(ConfigRules, NamesThatNobodyHas) {
  EXPECT_THAT(warnings_of(R"(rules:
  - {if: "class == 'bach' or weekday in ['sat', 'sunday']", route: local}
)"),
              ElementsAre("9:10: rules[0].if: there is no class 'bach', did you mean `batch`?",
                          "9:10: rules[0].if: there is no weekday 'sunday', did you mean `sun`?"));
}

TEST(ConfigRules, PromisesThatNobodyCanKeep) {
  EXPECT_THAT(told(load_text(R"(targets:
  local: {kind: local, executor: synthetic, serves: tiny, step_prior: {base: 60ms}}
classes:
  fast: {sla: {ttft: 50ms, per_token: 70ms}}
)",
                             "test")
                       .warnings),
              ElementsAre("4:22: classes.fast.sla.ttft: no target can keep it: the quickest first "
                          "token that is known of takes 60ms"));
}

TEST(ConfigRules, TheDumpLoadsAgainAndSaysWhereFrom) {
  const std::string text = kHouse + R"(rules:
  - if: "label == 'x' and predicted_ttft(ai-hub) < 2s"
    route: cheapest
    among: [ai-hub, local]
    max_price: 0.02usd
  - {name: last, route: refuse, message: "No: it's \"late\"."}
tests:
  - {given: {label: x, predicted_ttft(ai-hub): 1s}, expect: {route: local, rule: rule-1}}
)";
  const Loaded loaded = load_text(text, "file.yaml");
  ASSERT_NE(loaded.settings, nullptr) << told(loaded.problems).front();
  const std::string dump = effective_yaml(*loaded.settings);
  for (const std::string line :
       {"route: cheapest  # line 10", "max_price: 0.02usd  # line 12", "name: rule-1  # default",
        "predicted_ttft(ai-hub): 1s  # line 15", "drain: 30s  # default",
        "default_class: chat  # line 7", "kind: local  # line 2"})
    EXPECT_THAT(dump, HasSubstr(line));
  const Loaded again = load_text(dump, "file.yaml");
  ASSERT_NE(again.settings, nullptr) << told(again.problems).front() << dump;
  Settings same = *again.settings;
  same.sha256 = loaded.settings->sha256;
  EXPECT_EQ(same, *loaded.settings);
}

TEST(ConfigRules, FactsFromTheCommandLine) {
  const Loaded loaded = load_text(kHouse, "test");
  const GivenFacts given =
      parse_given("class: batch, time: 23:30, predicted_ttft(ai-hub): 800ms", *loaded.settings);
  EXPECT_THAT(told(given.problems), IsEmpty());
  ASSERT_EQ(given.facts.size(), 3u);
  EXPECT_EQ(given.facts[0].text, "batch");
  EXPECT_EQ(given.facts[1].number, 23.5 * 3'600.0);
  EXPECT_EQ(given.facts[2].fact, (language::FactRef{language::Fact::predicted_ttft, 1}));
  EXPECT_EQ(given.facts[2].number, 0.8);
  EXPECT_FALSE(parse_given("class: }", *loaded.settings).problems.empty());
  EXPECT_TRUE(parse_given("", *loaded.settings).facts.empty());
}

}  // namespace
}  // namespace spillway::config
