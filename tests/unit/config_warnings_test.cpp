// What is legal and does less than its author thinks: each with its place and what to write.
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace spillway::config {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kTargets = R"(targets:
  here: {kind: local, executor: synthetic, serves: tiny}
  far: {kind: provider, base_url: 'https://h/v1', serves: m,
        price_per_million: {input: 1usd, output: 1usd}}
models: {auto: policy}
)";
const std::string kKept = "server: {state: /var/lib/x}\n";

std::vector<std::string> warnings_of(const std::string& text) {
  const Loaded loaded = load_text(kTargets + text, "test", [](const std::string& name) {
    return std::optional("secret-of-" + name);
  });
  std::vector<std::string> lines;
  for (const Problem& problem : loaded.problems) lines.push_back("problem: " + to_string(problem));
  for (const Problem& warning : loaded.warnings) lines.push_back(to_string(warning));
  return lines;
}

TEST(ConfigWarnings, ATenantThatIsCalledAlmostLikeOneWithABudget) {
  const std::string keys = R"(keys:
  web: {secret: env:WEB, tenant: acme}
  nightly: {secret: env:NIGHT, tenant: acem}
  free: {secret: env:FREE, tenant: research}
tenants: {acme: {budget: {day: 1usd}})";
  EXPECT_THAT(warnings_of(kKept + keys + "}\n"),
              ElementsAre("9:40: keys.nightly.tenant: 'acem' is not under `tenants`, so that "
                          "nothing there bounds this key: did you mean `acme`? An empty "
                          "`acem: {}` there says that it is another"));
  EXPECT_THAT(warnings_of(kKept + keys + ", acem: {}}\n"), IsEmpty());
}

TEST(ConfigWarnings, ATenantThatNoKeyHas) {
  const std::string keys =
      "keys: {web: {secret: env:WEB, tenant: acme}}\n"
      "tenants: {acme: {}, ghost: {limits: {concurrency: 2}}}\n";
  EXPECT_THAT(warnings_of(keys),
              ElementsAre("7:21: tenants.ghost: limits nobody: no key has this tenant"));
  EXPECT_THAT(warnings_of(kKept + keys), IsEmpty()) << "a key that is made may have it";
}

TEST(ConfigWarnings, MatchersThatNoRequestFits) {
  EXPECT_THAT(
      warnings_of(R"(default_class: rest
classes:
  rest: {}
  typo: {match: {endpoint: /v1/chat, service_tier: flexx}, spill: never}
  some: {match: [{endpoint: [/v1/responses, /v1/mesages]}, {service_tier: [fast, ultrafast]}]}
)"),
      ElementsAre(HasSubstr("9:28: classes.typo.match.endpoint[0]: no request has '/v1/chat', did "
                            "you mean `/v1/chat/completions`?"),
                  HasSubstr("9:52: classes.typo.match.service_tier[0]: no request has 'flexx', did "
                            "you mean `flex`?"),
                  HasSubstr("10:45: classes.some.match[0].endpoint[1]: no request has "
                            "'/v1/mesages', did you mean `/v1/messages`?")));
}

TEST(ConfigWarnings, NamesInRulesThatNobodyHas) {
  EXPECT_THAT(warnings_of(R"(keys: {web: {secret: env:WEB, tenant: acme}}
rules:
  - {if: "tenant == 'acem'", route: far}
  - {if: "model in ['autoo', 'auto', 'tiny', 'm']", route: far}
  - {if: "service_tier == 'flexx' or service_tier == ''", route: far}
)"),
              ElementsAre(HasSubstr("rules[0].if: there is no tenant 'acem', did you mean `acme`?"),
                          HasSubstr("rules[1].if: there is no model 'autoo', did you mean `auto`?"),
                          HasSubstr("rules[2].if: there is no service_tier 'flexx', did you mean "
                                    "`flex`?")));
}

TEST(ConfigWarnings, AShareThatIsNone) {
  EXPECT_THAT(
      warnings_of("rules: [{if: streaming and budget_left < 20, route: local}]\n"),
      ElementsAre(HasSubstr(
          "rules[0].if: what it asks of budget_left is always true: it is a share, such as 20%")));
  EXPECT_THAT(warnings_of("rules: [{if: streaming and budget_left < 20%, route: local}]\n"),
              IsEmpty());
  EXPECT_THAT(warnings_of("rules: [{if: streaming or kv.free > 20, route: local}]\n"),
              ElementsAre(HasSubstr("what it asks of kv.free is never true")));
}

TEST(ConfigWarnings, ArithmeticThatMayBeNoNumber) {
  const auto told = [](const std::string& condition) {
    return warnings_of("rules: [{if: \"" + condition + "\", route: far}]\n");
  };
  EXPECT_THAT(told("predicted_ttft(local) - predicted_ttft(far) > 500ms"),
              ElementsAre(HasSubstr("rules[0].if: reckons with predicted_ttft(here) where both "
                                    "sides may be infinite, and no comparison of that holds")));
  EXPECT_THAT(told("sla.ttft / sla.per_token > 3"), ElementsAre(HasSubstr("with sla.ttft where")));
  EXPECT_THAT(told("price(far) / price(local) > 2"),
              ElementsAre(HasSubstr("divides by price(here), which may be 0: multiply")));
  EXPECT_THAT(told("100 * queue.tokens / (running.requests + queue.requests) > 5"),
              ElementsAre(HasSubstr("divides by running.requests, which may be 0")));
  for (const std::string condition :
       {"predicted_ttft(local) > predicted_ttft(far) + 500ms",
        "available(here) and predicted_ttft(local) - predicted_ttft(far) > 500ms",
        "queue.tokens / (running.requests + 1) > 100", "queue.tokens / prompt_tokens > 8",
        "running.requests > 0 and queue.tokens / running.requests > 100",
        "price(far) > 2 * price(local)", "deadline_left - predicted_finish(far) < 5s"})
    EXPECT_THAT(told(condition), IsEmpty()) << condition;
  EXPECT_THAT(told("queue.tokens > -1"), ElementsAre(HasSubstr("is always true")));
}

TEST(ConfigWarnings, PartsOfWhatIsNotSwitchedOn) {
  EXPECT_THAT(warnings_of(R"(classes:
  chat:
    sla: {ttft: 1s}
    hedge: {after: 200ms}
    feedback: {headroom_min: 0.5}
)"),
              ElementsAre(HasSubstr("classes.chat.hedge: does nothing: it takes `enabled: true`"),
                          HasSubstr("classes.chat.feedback: does nothing: it takes")));
  EXPECT_THAT(warnings_of("classes: {chat: {hedge: {enabled: false, after: 200ms}}}\n"), IsEmpty())
      << "it is switched off on purpose";
}

TEST(ConfigWarnings, ClassesThatHaveNoChoice) {
  const auto told = [](const std::string& far, const std::string& models,
                       const std::string& chat = "{sla: {ttft: 2s}}") {
    std::vector<std::string> lines;
    const std::string text =
        "targets:\n  here: {kind: local, executor: synthetic, serves: tiny}\n"
        "  far: {kind: provider, base_url: 'https://h/v1', price_per_million: {input: 1usd, "
        "output: 1usd}, " +
        far + "}\n" + models + "classes: {chat: " + chat + "}\n";
    for (const Problem& warning : load_text(text, "test").warnings)
      lines.push_back(to_string(warning));
    return lines;
  };
  EXPECT_THAT(told("serves: m", ""),
              ElementsAre(HasSubstr("4:1: classes: choose no target: each model is served by one "
                                    "alone, and no name leaves it to them; add `models: {auto: "
                                    "policy}`")));
  EXPECT_THAT(told("serves: m", "models: {auto: policy}\n"), IsEmpty());
  EXPECT_THAT(told("serves: {tiny: m}", ""), IsEmpty());
  EXPECT_THAT(told("serves: m, endpoints: embeddings", ""), IsEmpty());
  EXPECT_THAT(told("serves: m", "", "{spill: never}"), IsEmpty()) << "that is said on purpose";
  const std::string vectors =
      "base_url: 'https://h/v1', price_per_million: {input: 1usd, output: 1usd}, "
      "endpoints: embeddings, serves: e}";
  EXPECT_THAT(told("serves: m}\n  one: {kind: provider, " + vectors + "\n  two: {kind: provider, " +
                       vectors.substr(0, vectors.size() - 1),
                   ""),
              IsEmpty())
      << "there is a choice among those who make vectors";
}

TEST(ConfigWarnings, BatchesThatGoWhereTheirSendersRequestsMayNot) {
  const auto told = [](const std::string& batch_class) {
    return warnings_of(kKept + "classes:\n  eu: {match: {model: m}, residency: eu}\n  batch: {" +
                       batch_class + "}\ndefault_class: batch\nbatch: {class: batch}\n");
  };
  EXPECT_THAT(told("spill: always"), Contains(HasSubstr("batch.class: lines of batches are of")));
  EXPECT_THAT(told("spill: always, residency: eu"),
              Not(Contains(HasSubstr("batch.class: lines of batches are of"))));
}

TEST(ConfigWarnings, AddressesAndBundlesThatCannotBeMeant) {
  const auto told = [](const std::string& url, const std::string& more = "") {
    std::vector<std::string> lines;
    const std::string text = "targets: {far: {kind: provider, serves: m, base_url: '" + url +
                             "', price_per_million: {input: 1usd, output: 1usd}" + more + "}}\n";
    for (const Problem& warning : load_text(text, "test").warnings)
      lines.push_back(to_string(warning));
    return lines;
  };
  EXPECT_THAT(told("https://h/v1"), IsEmpty());
  EXPECT_THAT(told("https://h/v1/chat/completions"),
              ElementsAre(HasSubstr("targets.far.base_url: ends in /completions, which is added")));
  const std::string path = testing::TempDir() + "bundle.pem";
  const std::string ca_file = ", ca_file: '" + path + "'";
  std::remove(path.c_str());
  EXPECT_THAT(told("https://h/v1", ca_file), ElementsAre(HasSubstr("ca_file: cannot read '")));
  std::ofstream(path) << "-----BEGIN PRIVATE KEY-----\n";
  EXPECT_THAT(told("https://h/v1", ca_file),
              ElementsAre(HasSubstr("there is no certificate in '")));
  std::ofstream(path) << "-----BEGIN CERTIFICATE-----\n";
  EXPECT_THAT(told("https://h/v1", ca_file), IsEmpty());
}

TEST(ConfigWarnings, BudgetsThatBoundLessThanTheySay) {
  EXPECT_THAT(warnings_of("keys: {a: {secret: env:A, budget: {day: 1000usd, month: 100usd}}}\n"),
              ElementsAre(HasSubstr("server.state: is not given: what was spent is forgotten"),
                          HasSubstr("keys.a.budget.day: is more than `month`, which ends first")));
  EXPECT_THAT(warnings_of(kKept + "keys: {a: {secret: env:A, budget: {hard: true}}}\n"),
              ElementsAre(HasSubstr("keys.a.budget.hard: bounds nothing: there is neither")));
  EXPECT_THAT(warnings_of("ledger: {postgres: env:PG}\nkeys: {a: {secret: env:A, budget: {day: "
                          "1usd, month: 1usd, hard: true}}}\n"),
              IsEmpty());
}

TEST(ConfigWarnings, BoundsOfTheEngineThatOthersMakeIdle) {
  const auto local = [](const std::string& more) {
    return "targets: {here: {kind: local, executor: synthetic, serves: tiny, " + more + "}}\n";
  };
  const auto told = [&](const std::string& more) {
    std::vector<std::string> lines;
    for (const Problem& warning : load_text(local(more), "test").warnings)
      lines.push_back(to_string(warning));
    return lines;
  };
  EXPECT_THAT(told("context_max: 100000, kv_tokens_max: 1000"),
              ElementsAre(HasSubstr("targets.here.context_max: is never reached: kv_tokens_max")));
  EXPECT_THAT(told("step_tokens_max: 4, sequences_max: 64"),
              ElementsAre(HasSubstr("step_tokens_max: is less than sequences_max, 64")));
  EXPECT_THAT(told("hangs_after: 10s, restart_after: 1s"),
              ElementsAre(HasSubstr("hangs_after: does nothing: it takes `isolation: process`"),
                          HasSubstr("restart_after: does nothing")));
  EXPECT_THAT(told("hangs_after: 10s, isolation: none"), IsEmpty()) << "switched off on purpose";
  EXPECT_THAT(told("hangs_after: 10s, isolation: process"), IsEmpty());
}

}  // namespace
}  // namespace spillway::config
