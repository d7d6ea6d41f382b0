// The choice for one request among the targets that serve its model: the core of Router::plan.
// Pure.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/judge.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/ranking.h"
#include "gateway/policy/route.h"
#include "gateway/policy/rule_facts.h"

#include <memory>

namespace spillway::policy {

class Decision {
 public:
  Decision(std::shared_ptr<const config::Settings> settings, const Route& route,
           const config::RequestClass& request_class, const RequestFacts& request,
           const FleetFacts& fleet, Turn turn);

  // As Router::plan, once the class and the route are known. Call once.
  Result<Plan> make(RuleReport* report);

 private:
  Result<Plan> decide(RuleReport* report);
  std::optional<Reason> must_stay() const;
  bool someone_is_here() const;
  Result<Plan> stay(Reason reason);
  Result<Plan> go(Reason reason);
  Result<Plan> weigh();
  bool may_wait() const;
  Result<Plan> take_turn();
  Result<Plan> leave(Reason reason);
  bool is_late_here() const;
  bool somebody_is_only_full() const;
  double long_answer() const;
  bool long_answer_is_late() const;
  Result<Plan> hold();
  Result<Plan> local_then_providers(Reason reason);
  Result<Plan> providers_then_local(Reason reason);
  Error refusal() const;

  // decision_promise.cpp: what a promise costs.
  double own_gpu_seconds() const;
  bool worth_more_elsewhere() const;
  bool is_worth_it(double expected_cost, double in_time) const;
  bool promise_is_worth_it() const;
  void tell_too_dear();
  bool only_they_may_be_in_time() const;
  bool forgo_promise();
  bool may_be_passed();
  bool stand_behind(double lateness_max);

  // decision_rules.cpp: the rules of the policy.
  const config::Rule* deciding_rule(bool stays, RuleReport* report) const;
  bool can_obey(const config::Rule& rule) const;
  static Result<Plan> named(Result<Plan> plan, const config::Rule& rule);
  Result<Plan> obey(const config::Rule& rule);
  Result<Plan> stay_by_rule();
  Result<Plan> choose(const config::Rule& rule);
  void narrow(const config::Rule& rule);
  bool local_comes_first(const config::Rule& rule) const;

  void judge_engine();
  void judge_providers(bool of_here);
  double place_of(const Offer& offer) const;
  void see_to_the_end();
  bool local_may_rescue() const;
  std::size_t attempts_max() const;
  void push_local();
  void push_providers(std::size_t at_most);
  void fill_up();
  bool is_planned(std::string_view target, std::string_view model) const;
  Result<Plan> finished(Reason reason);

  const config::Settings& settings_;
  const Route& route_;
  const config::RequestClass& class_;
  const RequestFacts& request_;
  const FleetFacts& fleet_;
  const Turn turn_;
  Plan plan_;
  Work work_;
  Judged local_;  // Judged only if the route has the local engine.
  Ranking providers_;
  double patience_ = kNoHorizon;  // Of who stands behind others, seconds.
  bool rescue_;                   // The local engine stands behind the providers.
  const ClassTerms terms_;
};

}  // namespace spillway::policy
