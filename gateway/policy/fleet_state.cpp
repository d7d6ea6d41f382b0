#include "gateway/policy/fleet_state.h"

#include "gateway/policy/judge.h"

#include <utility>

namespace spillway::policy {

namespace {

// What is known of it stays true: who is chosen for what says nothing of how it answers.
bool is_as_before(const config::ProviderTarget& now, const config::ProviderTarget& before) {
  config::ProviderTarget same = now;
  same.weight = before.weight;
  same.residency = before.residency;
  return same == before;
}

}  // namespace

void FleetState::adopt(const config::Settings& settings, TimePoint now) {
  std::map<std::string, Provider, std::less<>> adopted;
  for (const config::ProviderTarget& target : settings.providers) {
    const auto known = providers_.find(target.name);
    if (known != providers_.end() && is_as_before(target, known->second.settings)) {
      adopted.emplace(target.name, Provider{target, known->second.servers});
    } else {
      adopted.emplace(target.name, Provider{target, std::make_shared<Servers>(target, now)});
    }
  }
  providers_ = std::move(adopted);
  retry_terms_ = settings.policy.retry_budget;
  adopt_feedback(settings);
}

void FleetState::adopt_feedback(const config::Settings& settings) {
  std::map<std::string, Steered, std::less<>> adopted;
  for (const config::RequestClass& one : settings.policy.classes) {
    if (!one.feedback.enabled) continue;
    const auto known = steered_.find(one.name);
    if (known != steered_.end() && known->second.settings == one) {
      adopted.insert(*known);
    } else {
      adopted.emplace(one.name, Steered{one, Feedback(one)});
    }
  }
  steered_ = std::move(adopted);
}

FleetFacts FleetState::facts(const EngineStatus* engine, TimePoint now,
                             const PromptMarks* prompt) const {
  FleetFacts facts;
  facts.now = now;
  facts.local = engine;
  facts.ttft_correction = correction_.factor(now);
  facts.ttft_bound = correction_.bound();
  facts.answer_length = length_;
  facts.class_terms = class_terms(now);
  facts.spilling.assign(spilling_.begin(), spilling_.end());
  facts.providers.reserve(providers_.size());
  for (const auto& [name, provider] : providers_)
    facts.providers.push_back(provider.servers->facts(now, prompt));
  return facts;
}

std::shared_ptr<Servers> FleetState::servers(std::string_view provider) const {
  const auto found = providers_.find(provider);
  return found == providers_.end() ? nullptr : found->second.servers;
}

Entered FleetState::enter(std::string_view provider, const Call& call, TimePoint now) {
  Entered entered{servers(provider), std::nullopt, false};
  if (!entered.servers) return entered;
  entered.retries_used_up = call.occasion == Occasion::again && !retries_.allows(retry_terms_, now);
  if (entered.retries_used_up) return entered;
  entered.visit = entered.servers->enter(now, call);
  if (entered.visit) retries_.made(call.occasion, now);
  return entered;
}

void FleetState::local_first_token(const Prediction& predicted, const StepModel& step,
                                   double seconds, TimePoint now) {
  correction_.observe(predicted.ttft, predicted.ttft_by(step), seconds, now);
  correction_.judge_bound(seconds <= predicted.ttft_bound);
}

void FleetState::settled(std::string_view request_class, const Settled& request, TimePoint now) {
  const auto known = steered_.find(request_class);
  if (known != steered_.end()) known->second.feedback.settle(request, now);
}

void FleetState::decided(const Plan& plan, const RequestFacts& request) {
  const config::RequestClass& one = *plan.request_class;
  if (one.ttft_hysteresis <= 0.0 || asks_for_less(one, request)) return;
  switch (plan.reason) {
    case Reason::spill_ttft: spilling_.insert(one.name); return;
    case Reason::local_meets_sla:
    case Reason::local_lets_pass:
    case Reason::spill_worth: spilling_.erase(one.name); return;  // It is in time here.
    default: return;
  }
}

std::vector<ClassTerms> FleetState::class_terms(TimePoint now) const {
  std::vector<ClassTerms> terms;
  for (const auto& [name, one] : steered_)
    terms.push_back({name, one.feedback.headroom(), one.feedback.promise_price(now)});
  return terms;
}

HedgeBudget& FleetState::hedges_of(std::string_view request_class) {
  const auto known = hedges_.find(request_class);
  if (known != hedges_.end()) return known->second;
  return hedges_[std::string(request_class)];
}

void FleetState::completed(const Answered& answer) {
  length_.observe(
      {key_of_class(answer.request_class), answer.prompt_tokens, answer.key, answer.model},
      answer.completion_tokens, answer.cut);
}

}  // namespace spillway::policy
