// The part of a decision that the policy's rules take.
#include "gateway/policy/decision.h"

#include <algorithm>
#include <tuple>

namespace spillway::policy {
namespace {

using config::RouteKind;
using config::Rule;

bool lists(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

config::Prefer prefer_of(RouteKind kind) {
  switch (kind) {
    case RouteKind::cloud: return config::Prefer::ordered;
    case RouteKind::fastest: return config::Prefer::fastest;
    default: return config::Prefer::cheapest;
  }
}

bool is_late(const Judged& judged) { return judged.verdict != Verdict::fits; }

}  // namespace

// A target that does not serve the model, or that the class does not use, is no place to go to.
bool Decision::can_obey(const Rule& rule) const {
  if (rule.kind == RouteKind::local) return route_.local.has_value();
  if (rule.kind != RouteKind::target) return true;
  return std::any_of(plan_.considered.begin(), plan_.considered.end(), [&](const Alternative& one) {
    return one.target == rule.route && one.verdict != Verdict::not_in_class &&
           one.verdict != Verdict::not_resident;
  });
}

// The first that holds. Of what has to stay it can only say that it is refused.
const Rule* Decision::deciding_rule(bool stays, RuleReport* report) const {
  const auto& rules = settings_.policy.rules;
  if (rules.empty()) return nullptr;
  const RuleFacts facts({settings_, class_, request_, fleet_, route_, work_, local_});
  const auto first = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
    return language::holds(rule.program, facts);
  });
  const bool decides =
      first != rules.end() && (stays ? first->kind == RouteKind::refuse : can_obey(*first));
  if (report != nullptr) *report = report_of(settings_, facts, decides ? &*first : nullptr);
  return decides ? &*first : nullptr;
}

Result<Plan> Decision::obey(const Rule& rule) {
  switch (rule.kind) {
    case RouteKind::refuse:
      return Error{
          .code = Errc::forbidden,
          .message = rule.message.empty() ? "The policy refuses this request." : rule.message};
    case RouteKind::local_only: return stay_by_rule();
    case RouteKind::local:
      if (!route_.local || !can_take(local_.verdict)) return go(Reason::rule);
      return local_then_providers(Reason::rule);
    case RouteKind::target:
      for (std::size_t i = 0; i < providers_.size(); ++i) {
        if (settings_.providers[providers_[i].offer.provider].name == rule.route)
          providers_.put_first(i);
      }
      return go(Reason::rule);
    default: return choose(rule);
  }
}

// As where the request asks for it: work that may wait is held, with nowhere to go but here.
Result<Plan> Decision::stay_by_rule() {
  Ranking here;
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const auto& [offer, judged, first, second] = providers_[i];
    if (settings_.providers[offer.provider].is_here())
      here.add(offer, judged, class_.prefer, place_of(offer));
  }
  providers_ = here;
  if (turn_ == Turn::unknown && route_.local && may_wait()) return hold();
  return stay(Reason::rule);
}

Result<Plan> Decision::choose(const Rule& rule) {
  if (!rule.among.empty())
    rescue_ = !settings_.local.empty() && lists(rule.among, settings_.local.front().name);
  narrow(rule);
  if (local_comes_first(rule)) return local_then_providers(Reason::rule);
  return go(Reason::rule);
}

// Leaves the providers that the rule allows, in the order that it asks for.
void Decision::narrow(const Rule& rule) {
  for (Alternative& one : plan_.considered) {
    if (one.verdict == Verdict::not_resident) continue;  // No rule is to blame for that.
    const bool listed = rule.among.empty() || lists(rule.among, one.target);
    if (!listed) one.verdict = Verdict::not_in_rule;
    if (listed && rule.max_price && one.expected_cost > *rule.max_price)
      one.verdict = Verdict::too_dear;
  }
  Ranking kept;
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const Contender& one = providers_[i];
    const std::string& name = settings_.providers[one.offer.provider].name;
    if (!rule.among.empty() && !lists(rule.among, name)) continue;
    if (rule.max_price && one.judged.expected_cost > *rule.max_price) continue;
    Judged judged = one.judged;
    if (rule.kind == RouteKind::cheapest) judged.verdict = Verdict::fits;  // In time or not.
    kept.add(one.offer, judged, prefer_of(rule.kind), static_cast<double>(i));
  }
  providers_ = kept;
}

// Only where the rule names it is it one of those to choose from. Its work costs nothing.
bool Decision::local_comes_first(const Rule& rule) const {
  const bool chosen_from = !rule.among.empty() && local_may_rescue();
  if (!chosen_from) return false;
  if (providers_.empty()) return true;
  const Judged& best = providers_.front().judged;
  switch (rule.kind) {
    case RouteKind::cheapest: return true;
    case RouteKind::cheapest_meeting_sla:
      return !is_late(local_) || (is_late(best) && local_.lateness <= best.lateness);
    case RouteKind::fastest:
      return std::tuple(is_late(local_), local_.finish) <= std::tuple(is_late(best), best.finish);
    default: return false;
  }
}

}  // namespace spillway::policy
