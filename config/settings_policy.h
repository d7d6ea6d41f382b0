// What is decided by: classes and what they are promised, rules, the policy's own tests. Part of
// settings.h.
#pragma once

#include "config/language/program.h"
#include "config/price.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

using Milliseconds = std::chrono::milliseconds;

struct Sla {
  std::optional<Milliseconds> ttft;
  std::optional<Milliseconds> per_token;
  std::optional<Milliseconds> deadline;
  bool operator==(const Sla&) const = default;
};

enum class Spill {
  never,             // Stays local.
  when_sla_at_risk,  // Local while its predicted TTFT and time per token meet the SLA.
  // Held until the engine has room to spare; to a provider just in time for its deadline.
  cheapest_before_deadline,
  always,  // To providers; local only when none of them can take it and the class allows it.
};

enum class Prefer {
  cheapest,
  fastest,
  ordered,
  weighted,  // In turns, by the weights of the targets.
};

// A second target is asked while the first is still silent; who says the first word answers.
struct Hedge {
  bool enabled = false;
  std::optional<Milliseconds> after;  // Of silence; empty: the first target's own P95 of late.
  double spend_share_max = 0.05;      // Of what the class spends, for answers that nobody got.
  bool operator==(const Hedge&) const = default;
};

// How far what is measured may move a class's ttft_headroom and promise_price_max
// (gateway/policy/feedback.h).
struct Feedback {
  bool enabled = false;
  double headroom_min = 0.8;
  double headroom_max = 1.0;
  std::optional<NanoUsd> spend_per_hour_max;  // At providers; empty: no limit.
  double attainment_min = 0.95;  // Of first tokens in time, before less is spent on them.
  bool operator==(const Feedback&) const = default;
};

// Who belongs to a class: any given matcher that does not fit rules it out; a class without
// matchers is never matched by rules, only named by a key, the x-spillway-class header or
// `default_class`.
struct ClassMatch {
  std::vector<std::string> keys;
  std::vector<std::string> service_tiers;
  std::vector<std::string> models;
  std::vector<std::string> endpoints;  // "/v1/chat/completions"
  bool operator==(const ClassMatch&) const = default;
};

struct RequestClass {
  std::string name;
  std::vector<ClassMatch> match;  // Any of them.
  bool by_name = false;           // `match: by_name`: without matchers on purpose.
  Sla sla;
  Spill spill = Spill::when_sla_at_risk;
  Prefer prefer = Prefer::cheapest;
  std::vector<std::string> providers;  // Who may take it, in rank order for `ordered`; empty: all.
  double ttft_headroom = 0.9;          // Local only if predicted TTFT ≤ headroom × SLA.
  bool local_as_last_resort = true;    // When no provider can take it.
  std::optional<NanoUsd> promise_price_max;  // The most to pay for one promise that is kept.
  std::optional<NanoUsd> price_max;          // Dearer providers are not asked for a request of it,
  std::vector<std::string> architectures;    // …nor any of another architecture; empty: of any.
  std::vector<std::string> residency;        // …nor any whose data goes elsewhere; empty: anywhere.
  std::optional<double> budget_share;        // Of each budget that it is paid from; empty: all.
  double ttft_hysteresis = 0.0;  // Once it spills, this share less until it stays again.
  Hedge hedge;
  Feedback feedback;

  bool takes_architecture(std::string_view architecture) const {
    return architectures.empty() || std::find(architectures.begin(), architectures.end(),
                                              architecture) != architectures.end();
  }
  bool uses(std::string_view provider) const {
    return providers.empty() ||
           std::find(providers.begin(), providers.end(), provider) != providers.end();
  }
  bool operator==(const RequestClass&) const = default;
};

// A model name that clients ask for and that the policy resolves: every target may serve it.
struct Alias {
  std::string name;  // "auto"
  std::map<std::string, std::string>
      model_on;  // target → the target's served model name; empty: its first.
  bool operator==(const Alias&) const = default;
};

// Where something stands in the file; no part of what it says.
struct Origin {
  int line = 0;  // From 1; 0: unknown.
  int column = 0;
  bool operator==(const Origin&) const { return true; }
};

enum class RouteKind {
  target,      // Rule::route names it; the others behind it.
  local,       // The local target, the providers behind it.
  local_only,  // The local target or nobody.
  cloud,       // Providers, as the class prefers.
  cheapest,
  cheapest_meeting_sla,
  fastest,
  by_class,  // `route: class`: as if there were no rules.
  refuse,
};

// Looked at before the class decides; the first whose condition holds does.
struct Rule {
  std::string name;           // As given, else rule-N.
  std::string condition;      // As written; empty: always.
  language::Program program;  // …compiled.
  std::string route;          // As written.
  RouteKind kind = RouteKind::by_class;
  std::vector<std::string> among;    // Targets to choose from; empty: all providers.
  std::optional<NanoUsd> max_price;  // Of the request.
  std::string message;               // Of `refuse`.
  Origin at;
  bool operator==(const Rule&) const = default;
};

// A fact that a policy's test gives, in the canonical unit of its type.
struct GivenFact {
  language::FactRef fact;
  double number = 0.0;
  std::string text;  // Texts as they are; all others as written.
  Origin at;
  bool operator==(const GivenFact&) const = default;
};

// What the policy should make of a situation; what is empty is not looked at.
struct PolicyTest {
  std::string name;  // As given, else test-N.
  std::vector<GivenFact> given;
  std::string route;  // A target, `held` or `refused`.
  std::string reason;
  std::string rule;  // Its name, or `none`.
  Origin at;         // Of what is expected.
  bool operator==(const PolicyTest&) const = default;
};

// How many attempts after the first there may be: what fails everywhere is not asked ever more.
struct RetryBudget {
  double share_max = 1.0;   // Of the first attempts of late,
  int per_second_min = 10;  // …but so many are always let through.
  bool operator==(const RetryBudget&) const = default;
};

struct Policy {
  std::vector<RequestClass> classes;  // First match wins.
  std::vector<Rule> rules;            // First match wins.
  std::vector<PolicyTest> tests;
  std::string default_class;
  std::vector<Alias> aliases;
  int attempts_max = 4;  // Targets tried for one request before its first token.
  RetryBudget retry_budget;
  bool operator==(const Policy&) const = default;
};

}  // namespace spillway::config
