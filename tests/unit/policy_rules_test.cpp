// A policy's own tests, and that what they give is what the rules then see.
#include "config/given.h"
#include "config/load.h"
#include "gateway/policy/policy_tests.h"
#include "gateway/policy/router.h"
#include "gateway/policy/situation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace spillway::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHouse = R"(targets:
  local: {kind: local, executor: synthetic, serves: tiny}
  ai-hub: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: m, price_per_million: {input: 1usd, output: 1usd}}
models: {auto: policy, other: policy}
classes:
  chat: {match: {service_tier: fast}, sla: {ttft: 1s}}
  batch: {match: {service_tier: flex}, sla: {deadline: 10m}, spill: cheapest_before_deadline}
default_class: chat
)";  // Eight lines.

std::shared_ptr<const config::Settings> settings_of(const std::string& rest) {
  const config::Loaded loaded = config::load_text(kHouse + rest, "test");
  if (!loaded.settings) ADD_FAILURE() << to_string(loaded.problems.front());
  return loaded.settings;
}

std::vector<std::string> failures(const std::string& rest) {
  std::vector<std::string> lines;
  for (const config::Problem& problem : failed_tests(settings_of(rest)))
    lines.push_back(to_string(problem));
  return lines;
}

TEST(PolicyTests, HoldOrSayWhatCameInstead) {
  EXPECT_THAT(
      failures(R"(rules:
  - {name: much, if: queue.tokens > 5000, route: ai-hub}
  - {name: never, if: label == 'no', route: refuse, message: Not here.}
tests:
  - {expect: {route: local, reason: local_meets_sla, rule: none}}
  - {given: {queue.tokens: 90000}, expect: {route: ai-hub, reason: rule, rule: much}}
  - {given: {label: 'no'}, expect: {route: refused, reason: refused_by_policy, rule: never}}
  - {given: {class: batch}, expect: {route: held, reason: waits}}
  - {given: {queue.tokens: 5000}, expect: {rule: much}}
  - name: wrong
    given: {label: 'no'}
    expect: {route: local, reason: waits, rule: much}
  - {given: {model: nothing}, expect: {route: local}}
)"),
      ElementsAre(
          HasSubstr("17:35: tests[4]: test `test-5` fails: expected rule much, but it is rule none "
                    "(class chat"),
          "20:5: tests[5]: test `wrong` fails: expected route local, reason waits, "
          "rule much, but it is route refused, reason refused_by_policy, rule never (Not "
          "here.)",
          HasSubstr("it is route refused (")));
}

TEST(PolicyTests, RulesHoldOfTheLastOfManyProviders) {
  std::string house =
      "models: {auto: policy}\ntargets:\n  local: {kind: local, executor: synthetic, serves: "
      "tiny}\n";
  for (int i = 10; i < 50; ++i) {
    const std::string name = "p" + std::to_string(i), price = std::to_string(i) + "usd";
    house += "  " + name + ": {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: m" +
             std::to_string(i) + ", price_per_million: {input: " + price + ", output: " + price +
             "}}\n";
  }
  const config::Loaded loaded = config::load_text(house + R"(rules:
  - {name: last, if: label == 'last', route: p49}
  - {name: among, if: label == 'among', route: cheapest, among: [p48, p49]}
  - {name: dear, if: label == 'dear', route: cheapest}
tests:
  - {given: {label: last}, expect: {route: p49, rule: last}}
  - {given: {label: among}, expect: {route: p48, rule: among}}
  - {given: {label: dear}, expect: {route: p10, rule: dear}}
)",
                                                  "test");
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  EXPECT_THAT(failed_tests(loaded.settings), IsEmpty());
}

TEST(PolicyTests, AClassTightensTheDeadlineThatIsGiven) {
  EXPECT_THAT(
      failures(R"(limits: {request_timeout: 1h}
tests:
  - {given: {class: batch, deadline_left: 10m}, expect: {route: held}}
  - {given: {class: chat, deadline_left: 11m}, expect: {route: local}}
  - {given: {class: batch, deadline_left: 11m}, expect: {route: held}}
)"),
      ElementsAre("13:28: tests[2].given.deadline_left: test `test-3`: deadline_left 11m is "
                  "above the deadline of class batch"));
}

// Whatever its name is, unless a provider has it.
TEST(PolicyTests, TheLocalTargetAnswersToLocal) {
  const config::Loaded loaded = config::load_text(R"(targets:
  box: {kind: local, executor: synthetic, serves: tiny}
  ai-hub: {kind: provider, base_url: 'http://127.0.0.1:1/v1', serves: m, price_per_million: {input: 1usd, output: 1usd}}
models: {auto: policy}
rules:
  - {name: late, if: predicted_ttft(local) > 5s and predicted_ttft(box) > 5s, route: cloud}
  - {name: cheap, if: label == 'x', route: cheapest, among: [local, ai-hub]}
tests:
  - {given: {predicted_ttft(local): 6s}, expect: {route: ai-hub, rule: late}}
  - {expect: {route: local, rule: none}}
  - {expect: {route: box, rule: none}}
  - {given: {label: x}, expect: {route: local, rule: cheap}}
)",
                                                  "test");
  ASSERT_NE(loaded.settings, nullptr) << to_string(loaded.problems.front());
  EXPECT_THAT(failed_tests(loaded.settings), IsEmpty());
}

// A rule that holds and may not decide is not said to.
TEST(PolicyTests, WhatHasToStayIsNoRulesDoing) {
  EXPECT_THAT(failures(R"(rules:
  - {name: away, if: label != 'no', route: cloud}
  - {name: never, route: refuse}
tests:
  - {given: {model: tiny}, expect: {route: local, reason: model_fixed, rule: none}}
  - given: {model: tiny, available(local): false}
    expect: {route: refused, reason: no_route, rule: none}
  - {given: {model: tiny, label: 'no'}, expect: {route: refused, reason: forbidden, rule: never}}
)"),
              IsEmpty());
}

TEST(PolicyTests, ShippedPolicyStandsItsOwn) {
  const config::Loaded loaded =
      config::load_file(std::string(SPILLWAY_SOURCE_DIR) + "/config/policies/rules.yaml",
                        [](const std::string&) { return std::optional<std::string>("key"); });
  ASSERT_NE(loaded.settings, nullptr);
  EXPECT_GE(loaded.settings->policy.tests.size(), 10u);
  EXPECT_THAT(failed_tests(loaded.settings), IsEmpty());
}

// Every fact that can be given is seen by a condition that asks for just that value.
TEST(PolicySituation, WhatIsGivenIsSeen) {
  for (const std::string given : {"class: batch",
                                  "model: other",
                                  "label: x",
                                  "service_tier: fast",
                                  "streaming: true",
                                  "prompt_tokens: 4321",
                                  "max_tokens: 77",
                                  "expected_tokens: 55",
                                  "queue.requests: 7",
                                  "queue.tokens: 4321",
                                  "running.requests: 3",
                                  "time: 23:30",
                                  "weekday: sun",
                                  "available(local): false",
                                  "available(ai-hub): false",
                                  "predicted_ttft(ai-hub): 3s",
                                  "ttft_p50(ai-hub): 3s",
                                  "ttft_p99(ai-hub): 3s",
                                  "tokens_per_second(ai-hub): 33",
                                  "in_flight(ai-hub): 9",
                                  "budget_left: 0.25",
                                  "deadline_left: 5s"}) {
    const auto colon = given.find(": ");
    const std::string fact = given.substr(0, colon), value = given.substr(colon + 2);
    const bool bare = value == "true" || value == "false" || std::isdigit(value[0]) != 0;
    std::string condition = fact + " == " + (bare ? value : "'" + value + "'");
    if (value == "true" || value == "false") condition = (value == "true" ? "" : "not ") + fact;
    const std::string text = "rules:\n  - {name: seen, if: \"" + condition +
                             "\", route: class}\ntests:\n  - {given: {" + given +
                             "}, expect: {rule: seen}}\n";
    EXPECT_THAT(failures(text), IsEmpty());
    EXPECT_THAT(failures("rules:\n  - {name: seen, if: \"" + condition +
                         "\", route: class}\ntests:\n  - {expect: {rule: none}}\n"),
                IsEmpty());
  }
}

// The engine's pace is made to fit, whatever else is given.
TEST(PolicySituation, PredictionsComeOutAsGiven) {
  for (const std::string rest :
       {"", ", queue.tokens: 20000", ", queue.requests: 12", ", running.requests: 8",
        ", prompt_tokens: 9000", ", expected_tokens: 700", ", kv.free: 10%", ", class: batch"}) {
    for (const std::string ttft : {"20ms", "700ms", "30s"}) {
      const auto settings = settings_of("rules:\n  - {if: \"predicted_ttft(local) < " + ttft +
                                        " and predicted_finish(local) < 1s and price(ai-hub) > "
                                        "0usd\", route: local}\ntests:\n  - {given: "
                                        "{predicted_ttft(local): " +
                                        ttft + ", predicted_finish(local): 40s" + rest +
                                        "}, expect: {route: local}}\n");
      const Situation situation(settings, usual_request(*settings),
                                settings->policy.tests[0].given);
      RuleReport report;
      (void)Router(settings).plan(situation.request(), situation.fleet(), Turn::unknown, &report);
      for (const ToldFact& fact : report.facts) {
        const std::string told = ttft == "30s" ? "30.0s" : ttft;
        if (fact.name == "predicted_ttft(local)") {
          EXPECT_EQ(fact.value, told) << rest;
        }
      }
    }
  }
}

TEST(PolicySituation, AFinishIsMetByBothKindsOfTargets) {
  const std::string rules = R"(rules:
  - name: near
    if: >-
      predicted_finish(local) > 8.9s and predicted_finish(local) < 9.1s and
      predicted_finish(ai-hub) > 4.9s and predicted_finish(ai-hub) < 5.1s and
      predicted_ttft(local) < 410ms
    route: class
tests:
  - given: {predicted_ttft(local): 400ms, predicted_finish(local): 9s, predicted_finish(ai-hub): 5s}
    expect: {rule: near}
)";
  EXPECT_THAT(failures(rules), IsEmpty());
}

// Whatever is given that the file's reader lets through, there is an answer, and every fact can be
// asked for.
TEST(PolicySituation, AnythingMayBeGiven) {
  std::string rules = "rules:\n";
  for (const language::FactRow& row : language::fact_rows()) {
    const std::string word(row.word);
    const std::string fact = row.of == language::Of::nothing ? word : word + "(ai-hub)";
    const std::string condition =
        row.type == language::Type::boolean ? "not " + fact + " and false" : fact + " != " + fact;
    rules += "  - {if: \"" + condition + "\", route: local}\n";
  }
  std::mt19937 random(3);
  const std::vector<std::string> numbers{"0", "1", "0.5", "77", "32768", "10000000"};
  const std::vector<std::string> words{"chat", "batch", "sun", "''", "tiny", "auto"};
  const auto settings = settings_of(rules);
  std::size_t facts = 0, decided = 0;
  for (int i = 0; i < 500; ++i) {
    std::map<std::string, std::string> given;
    for (int j = 0; j < 6; ++j) {
      const auto rows = language::fact_rows();
      const language::FactRow& row = rows[random() % rows.size()];
      if (!row.givable) continue;
      const std::string target =
          random() % 2 == 0 && row.of == language::Of::target ? "local" : "ai-hub";
      const std::string word(row.word);
      std::string value = numbers[random() % numbers.size()];
      if (row.type == language::Type::duration) value += "s";
      if (row.type == language::Type::text) value = words[random() % words.size()];
      if (row.type == language::Type::boolean) value = random() % 2 == 0 ? "true" : "false";
      if (row.type == language::Type::time_of_day) value = "23:59";
      given[row.of == language::Of::nothing ? word : word + "(" + target + ")"] = value;
    }
    std::string text;
    for (const auto& [fact, value] : given) text += fact + ": " + value + ", ";
    const auto read = config::parse_given(text, *settings);
    facts += read.facts.size();
    const Situation situation(settings, usual_request(*settings), read.facts);
    RuleReport report;
    (void)Router(settings).plan(situation.request(), situation.fleet(), Turn::unknown, &report);
    decided += report.rules.empty() ? 0 : 1;  // Not of a model that nobody serves.
  }
  EXPECT_GT(facts, 1'000u);
  EXPECT_GT(decided, 100u);
}

}  // namespace
}  // namespace spillway::policy
