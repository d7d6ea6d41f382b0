#include "gateway/policy/policy_tests.h"

#include "gateway/policy/classes.h"
#include "gateway/policy/refusal.h"
#include "gateway/policy/router.h"
#include "gateway/policy/situation.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace spillway::policy {
namespace {

using config::PolicyTest;

struct Outcome {
  std::string route, reason, rule, why;
};

Outcome outcome_of(const Router& router, const Situation& situation) {
  RuleReport rules;
  const auto plan = router.plan(situation.request(), situation.fleet(), Turn::unknown, &rules);
  const std::string rule(rules.decider.empty() ? "none" : rules.decider);
  if (!plan) return {"refused", std::string(word_of(plan.error())), rule, plan.error().message};
  return {plan->wait ? "held" : std::string(plan->candidates.front().target),
          std::string(name_of(plan->reason)), rule,
          explain(*plan, situation.request(), situation.fleet())};
}

// The local target also answers to `local`, unless a provider is called so.
std::string target_named(const std::string& route, const config::Settings& settings) {
  const auto& providers = settings.providers;
  const bool local = route == "local" && !settings.local.empty() &&
                     std::none_of(providers.begin(), providers.end(),
                                  [](const auto& provider) { return provider.name == "local"; });
  return local ? settings.local.front().name : route;
}

// Its class tightens the deadline that a request may give.
std::optional<config::Problem> contradiction(const config::Settings& settings,
                                             const PolicyTest& test, const Situation& situation) {
  const auto request_class = class_of(settings, situation.request());
  if (!request_class || !(*request_class)->sla.deadline) return std::nullopt;
  const std::chrono::duration<double> most = *(*request_class)->sla.deadline;
  for (const config::GivenFact& one : test.given) {
    if (one.fact.fact != language::Fact::deadline_left || one.number <= most.count()) continue;
    return config::Problem{one.at.line, one.at.column, "",
                           "test `" + test.name + "`: deadline_left " + one.text +
                               " is above the deadline of class " + (*request_class)->name};
  }
  return std::nullopt;
}

// "route ai-hub", or nothing where it is as expected.
void compare(const char* what, const std::string& expected, const std::string& came,
             std::string& wanted, std::string& got) {
  if (expected.empty() || expected == came) return;
  wanted += (wanted.empty() ? "" : ", ") + std::string(what) + " " + expected;
  got += (got.empty() ? "" : ", ") + std::string(what) + " " + came;
}

// What a rule refuses was expected as `forbidden` before clients were told more.
std::string word_now(const std::string& reason, const Outcome& outcome) {
  const bool old = reason == "forbidden" && outcome.reason == "refused_by_policy";
  return old ? outcome.reason : reason;
}

}  // namespace

std::vector<config::Problem> failed_tests(const std::shared_ptr<const config::Settings>& settings) {
  std::vector<config::Problem> problems;
  const Router router(settings);
  for (std::size_t i = 0; i < settings->policy.tests.size(); ++i) {
    const PolicyTest& test = settings->policy.tests[i];
    const Situation situation(settings, usual_request(*settings), test.given);
    const std::string path = "tests[" + std::to_string(i) + "]";
    if (auto problem = contradiction(*settings, test, situation)) {
      problem->path = path + ".given.deadline_left";
      problems.push_back(std::move(*problem));
      continue;
    }
    const Outcome outcome = outcome_of(router, situation);
    std::string wanted, got;
    compare("route", target_named(test.route, *settings), outcome.route, wanted, got);
    compare("reason", word_now(test.reason, outcome), outcome.reason, wanted, got);
    compare("rule", test.rule, outcome.rule, wanted, got);
    if (wanted.empty()) continue;
    problems.push_back({test.at.line, test.at.column, path,
                        "test `" + test.name + "` fails: expected " + wanted + ", but it is " +
                            got + " (" + outcome.why + ")"});
  }
  return problems;
}

}  // namespace spillway::policy
