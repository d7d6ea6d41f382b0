#include "gateway/policy/policy_tests.h"

#include "gateway/policy/router.h"
#include "gateway/policy/situation.h"

#include <string>

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
  if (!plan)
    return {"refused", std::string(name_of(plan.error().code)), rule, plan.error().message};
  return {plan->wait ? "held" : std::string(plan->candidates.front().target),
          std::string(name_of(plan->reason)), rule,
          explain(*plan, situation.request(), situation.fleet())};
}

// "route ai-hub", or nothing where it is as expected.
void compare(const char* what, const std::string& expected, const std::string& came,
             std::string& wanted, std::string& got) {
  if (expected.empty() || expected == came) return;
  wanted += (wanted.empty() ? "" : ", ") + std::string(what) + " " + expected;
  got += (got.empty() ? "" : ", ") + std::string(what) + " " + came;
}

}  // namespace

std::vector<config::Problem> failed_tests(const std::shared_ptr<const config::Settings>& settings) {
  std::vector<config::Problem> problems;
  const Router router(settings);
  for (std::size_t i = 0; i < settings->policy.tests.size(); ++i) {
    const PolicyTest& test = settings->policy.tests[i];
    const Situation situation(settings, usual_request(*settings), test.given);
    const Outcome outcome = outcome_of(router, situation);
    std::string wanted, got;
    compare("route", test.route, outcome.route, wanted, got);
    compare("reason", test.reason, outcome.reason, wanted, got);
    compare("rule", test.rule, outcome.rule, wanted, got);
    if (wanted.empty()) continue;
    problems.push_back({test.at.line, test.at.column, "tests[" + std::to_string(i) + "]",
                        "test `" + test.name + "` fails: expected " + wanted + ", but it is " +
                            got + " (" + outcome.why + ")"});
  }
  return problems;
}

}  // namespace spillway::policy
