// `spillway explain`: why a request goes where it goes, of one that a running gateway decided
// about, or of one in a file, in a situation that is given.
#include "backends/contract/error.h"
#include "config/given.h"
#include "config/value.h"
#include "gateway/admin/decision_text.h"
#include "gateway/openai/chat_request.h"
#include "gateway/openai/object_request.h"
#include "gateway/policy/refusal.h"
#include "gateway/policy/router.h"
#include "gateway/policy/situation.h"
#include "gateway/reload/policy_file.h"
#include "gateway/request/measure.h"
#include "gateway/request/notes.h"
#include "gateway/verbs/admin_options.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

namespace spillway::verbs {
namespace {

int fail(const std::string& message, int status = kFailed) {
  std::fprintf(stderr, "spillway explain: %s\n", message.c_str());
  return status;
}

int explain_decided(const Options& options) {
  const auto door = admin_door(options, "spillway explain");
  if (!door) return door.exit_status();
  const auto answer = remote::ask_admin(*door, "GET", "/explain/" + options.words_given().front());
  if (!answer) return fail(answer.error().message);
  return print_answer(*door, *answer, "spillway explain");
}

void print_rules(const policy::RuleReport& report, const config::Settings& settings) {
  if (!report.facts.empty()) std::printf("\nfacts that the rules ask for\n");
  for (const policy::ToldFact& fact : report.facts)
    std::printf("  %-34s %s\n", fact.name.c_str(), fact.value.c_str());
  if (!report.rules.empty()) std::printf("\nrules\n");
  for (std::size_t i = 0; i < report.rules.size(); ++i) {
    const config::Rule& rule = settings.policy.rules[i];
    const bool holds = report.rules[i].holds;
    const char* const says = rule.name == report.decider ? "decides"
                             : !holds                    ? "does not hold"
                             : report.decider.empty()    ? "may not decide"
                                                         : "holds, but later";
    std::printf("  %-20s %-17s %s → %s (line %d)\n", rule.name.c_str(), says,
                rule.condition.empty() ? "always" : rule.condition.c_str(), rule.route.c_str(),
                rule.at.line);
  }
  if (!report.rules.empty() && report.decider.empty())
    std::printf("  none of them decides: class, key or model do\n");
}

int print_decision(const policy::Router& router, const policy::Situation& situation) {
  policy::RuleReport rules;
  const auto plan =
      router.plan(situation.request(), situation.fleet(), policy::Turn::unknown, &rules);
  if (!plan) {
    Receipt receipt;
    note(plan.error(), rules, receipt);
    std::printf("refused     %s: %s\n", std::string(policy::word_of(plan.error())).c_str(),
                plan.error().message.c_str());
    if (!receipt.considered.empty())
      std::printf("\n%s", admin::told(receipt.considered, "").c_str());
  } else {
    Receipt receipt;
    note(*plan, situation.request(), situation.fleet(), receipt);
    const std::string target =
        plan->wait ? std::string() : std::string(plan->candidates.front().target);
    std::printf("goes to     %s, reason %s%s\ndecision    %s\n\n%s",
                plan->wait ? "nobody yet: it is held" : target.c_str(), receipt.reason.c_str(),
                plan->rule.empty() ? "" : (", by rule `" + receipt.rule + "`").c_str(),
                receipt.explanation.c_str(), admin::told(receipt.considered, target).c_str());
  }
  print_rules(rules, *router.settings());
  return kDone;
}

struct Asked {
  std::shared_ptr<const ChatRequest> request;
  std::string path;
};

Result<Asked> asked_in(std::string body) {
  if (openai::asks_embeddings(body)) {
    auto question = openai::parse_object_request(Endpoint::embeddings, std::move(body));
    if (!question) return question.error();
    return Asked{std::move(question->request), "/v1/embeddings"};
  }
  auto chat = openai::parse_chat(std::move(body));
  if (!chat) return chat.error();
  return Asked{std::move(*chat), "/v1/chat/completions"};
}

int explain_file(const Options& options) {
  const std::string path = options.get("--config");
  const auto loaded = load_policy(path, unneeded_secret);
  if (!loaded.settings) {
    print_problems(path, loaded);
    return kMisused;
  }
  std::ifstream file(options.get("--request"));
  if (!file) return fail("cannot read " + options.get("--request"), kMisused);
  std::ostringstream body;
  body << file.rdbuf();
  const auto asked = asked_in(body.str());
  if (!asked) return fail(options.get("--request") + ": " + asked.error().message);
  const auto given = config::parse_given(options.get("--given"), *loaded.settings);
  for (const config::Problem& problem : given.problems) fail("--given: " + problem.message);
  if (!given.problems.empty()) return kMisused;

  http::Request raw;
  raw.path = asked->path;
  const auto facts = facts_of(raw, policy::Caller{}, *asked->request, account::Pool::waited_for);
  if (!facts) return fail(facts.error().message);
  const policy::Router router(loaded.settings);
  const policy::Situation situation(loaded.settings, *facts, given.facts);
  return print_decision(router, situation);
}

}  // namespace

int explain(const Arguments& arguments) {
  Options options;
  add_admin_options(options);
  options.words("[REQUEST-ID]", 1)
      .value("--request", "FILE", "a request of chat or embeddings as a client would send it, JSON")
      .value("--given", "FACTS",
             "with --request: \"class: batch, queue.tokens: 90000, predicted_ttft(local): 2s\"; "
             "the rest is Monday noon, an idle engine and healthy providers");
  if (!options.read(arguments, "spillway explain")) return options.exit_status();
  if (!options.words_given().empty()) return explain_decided(options);
  if (options.has("--config") && options.has("--request")) return explain_file(options);
  return fail("give a request's id, or --config FILE and --request FILE (try --help)", kMisused);
}

}  // namespace spillway::verbs
