#include "gateway/policy/decision.h"

#include "gateway/policy/classes.h"
#include "gateway/policy/feedback.h"
#include "gateway/policy/held_work.h"
#include "gateway/policy/refusal.h"
#include "gateway/policy/turns.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway::policy {
namespace {

constexpr double kOneInHundred = 4.605;  // As an exposure of Remaining.

Reason spill_reason(Verdict verdict) {
  switch (verdict) {
    case Verdict::misses_per_token: return Reason::spill_per_token;
    case Verdict::misses_deadline: return Reason::spill_deadline;
    case Verdict::queue_full: return Reason::spill_queue_full;
    case Verdict::not_ready: return Reason::spill_engine_down;
    case Verdict::too_long:
    case Verdict::incapable: return Reason::capability;
    default: return Reason::spill_ttft;
  }
}

Promise promised(const config::RequestClass& request_class, const RequestFacts& request) {
  const std::chrono::duration<double> ttft =
      request_class.sla.ttft.value_or(config::Milliseconds(0));
  return {request.prompt_tokens, ttft.count(), asks_for_less(request_class, request)};
}

// Those it has come to, and stricter ones while the class spills.
ClassTerms terms_now(const config::RequestClass& request_class, const FleetFacts& fleet) {
  ClassTerms terms = terms_of(request_class, fleet.class_terms);
  if (request_class.ttft_hysteresis <= 0.0) return terms;
  const auto& spilling = fleet.spilling;
  if (std::find(spilling.begin(), spilling.end(), request_class.name) != spilling.end())
    terms.ttft_headroom *= 1.0 - request_class.ttft_hysteresis;
  return terms;
}

}  // namespace

Decision::Decision(std::shared_ptr<const config::Settings> settings, const Route& route,
                   const config::RequestClass& request_class, const RequestFacts& request,
                   const FleetFacts& fleet, Turn turn)
    : settings_(*settings),
      route_(route),
      class_(request_class),
      request_(request),
      fleet_(fleet),
      turn_(turn),
      rescue_(request_class.local_as_last_resort),
      terms_(terms_now(request_class, fleet)) {
  plan_.settings = std::move(settings);
  plan_.request_class = &request_class;
  plan_.sla = sla_of(request_class, request);
  plan_.could_stay = route.local.has_value();
  work_ = work_of(plan_.sla, key_of_class(request_class.name), request, fleet);
  plan_.completion_tokens = work_.completion_tokens;
  work_.lane = lane_of(request_class);
  work_.at_batch_rate =
      request.in_a_batch || tier_served(request_class, request.service_tier) == "flex";
  plan_.at_batch_rate = work_.at_batch_rate;
  work_.yields = work_.lane == Lane::background || work_.at_batch_rate;
}

Result<Plan> Decision::make(RuleReport* report) {
  auto plan = decide(report);
  if (!plan && report != nullptr)
    report->considered.assign(plan_.considered.begin(), plan_.considered.end());
  return plan;
}

Result<Plan> Decision::decide(RuleReport* report) {
  judge_engine();
  const auto stays = must_stay();
  judge_providers(stays.has_value());
  if (const config::Rule* const rule = deciding_rule(stays.has_value(), report)) {
    plan_.rule = rule->name;
    if (rule->kind != config::RouteKind::by_class) return named(obey(*rule), *rule);
  }
  if (stays) {
    if (turn_ == Turn::unknown && route_.local && may_wait()) return hold();
    return stay(*stays);
  }
  if (!route_.local) return go(route_.fixed() ? Reason::model_fixed : Reason::not_served_locally);
  if (class_.spill == config::Spill::always) return go(Reason::class_always_cloud);
  if (may_wait()) return take_turn();
  return weigh();
}

std::optional<Reason> Decision::must_stay() const {
  if (request_.local_only || (request_.key && request_.key->local_only)) return Reason::local_only;
  if (class_.spill == config::Spill::never) return Reason::class_never_spills;
  if (route_.local && route_.fixed()) return Reason::model_fixed;
  return std::nullopt;
}

bool Decision::someone_is_here() const {
  return route_.local ||
         std::any_of(route_.providers.begin(), route_.providers.end(), [this](const Offer& offer) {
           return settings_.providers[offer.provider].is_here();
         });
}

// However late: it may go nowhere else. Of the providers those are left that are here.
Result<Plan> Decision::stay(Reason reason) {
  if (!someone_is_here()) return refuse_to_leave(request_.model);
  if (route_.local && can_take(local_.verdict)) {
    push_local();
  } else {
    push_providers(attempts_max());
  }
  if (plan_.candidates.empty()) return refusal();
  return finished(reason);
}

Result<Plan> Decision::go(Reason reason) {
  if (!providers_.empty()) return providers_then_local(reason);
  if (!local_may_rescue()) return refusal();
  push_local();
  return finished(Reason::last_resort);
}

// Where the engine could never answer it there is nothing to wait for.
bool Decision::may_wait() const {
  if (work_.lane == Lane::foreground) return false;
  return can_take(local_.verdict) || local_.verdict == Verdict::queue_full;
}

Result<Plan> Decision::take_turn() {
  if (turn_ == Turn::unknown) return hold();
  if (turn_ == Turn::cloud) return leave(Reason::spill_due);
  if (turn_ == Turn::no_room) return leave(Reason::held_full);
  const bool may_be_late = local_.verdict == Verdict::misses_deadline || long_answer_is_late();
  const bool late =
      may_be_late && !providers_.empty() && providers_.front().judged.verdict == Verdict::fits;
  if (late) return go(Reason::spill_deadline);
  if (is_late_here() && somebody_is_only_full()) return refusal();
  if (!can_take(local_.verdict)) return go(spill_reason(local_.verdict));
  return local_then_providers(Reason::engine_has_room);
}

// Who is full for now is waited for, rather than that an engine without room is made fuller.
Result<Plan> Decision::leave(Reason reason) {
  return somebody_is_only_full() ? refusal() : go(reason);
}

bool Decision::is_late_here() const {
  return !can_take(local_.verdict) || local_.finish > work_.finish_max;
}

// Nobody can take it, but who is full would still be in time.
bool Decision::somebody_is_only_full() const {
  if (!providers_.empty()) return false;
  return std::any_of(plan_.considered.begin(), plan_.considered.end(), [&](const Alternative& one) {
    const bool is_full = one.verdict == Verdict::busy || one.verdict == Verdict::rate_limited;
    return is_full && one.finish <= work_.finish_max;
  });
}

// One in a hundred is longer.
double Decision::long_answer() const {
  const double longest =
      std::max(work_.completion_tokens, work_.remaining.tokens(1, kOneInHundred));
  return work_.completion_tokens_max ? std::min<double>(longest, *work_.completion_tokens_max)
                                     : longest;
}

// Once half of its time is over: before, an answer of the usual length is enough.
bool Decision::long_answer_is_late() const {
  const double waited = seconds_between(request_.arrived, fleet_.now);
  if (!can_take(local_.verdict) || waited < work_.finish_max) return false;
  return local_.ttft + long_answer() * local_.per_token > work_.finish_max;
}

Result<Plan> Decision::hold() {
  Wait wait{.deadline = request_.arrived + *plan_.sla.deadline,
            .prompt_tokens = request_.prompt_tokens,
            .completion_tokens = work_.completion_tokens};
  if (request_.silence_max)
    wait.deadline = std::min(wait.deadline, request_.arrived + *request_.silence_max);
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const Judged& judged = providers_[i].judged;
    const double finish = judged.ttft + judged.per_token * long_answer();
    wait.cloud_cost =
        i == 0 ? judged.expected_cost : std::min(wait.cloud_cost, judged.expected_cost);
    wait.cloud_seconds = i == 0 ? finish : std::min(wait.cloud_seconds, finish);
  }
  wait.due = latest_start(wait, fleet_.now);
  plan_.wait = wait;
  return finished(Reason::waits);
}

// Local while it meets the SLA; else to those who do; if nobody does, to whoever still may, else to
// whoever is least late.
Result<Plan> Decision::weigh() {
  if (local_.verdict == Verdict::fits) {
    if (worth_more_elsewhere()) return go(Reason::spill_worth);
    return local_then_providers(may_be_passed() ? Reason::local_lets_pass
                                                : Reason::local_meets_sla);
  }
  const Reason reason = spill_reason(local_.verdict);
  if (!can_take(local_.verdict) || providers_.empty()) return go(reason);
  if (!promise_is_worth_it() && forgo_promise())
    return local_then_providers(Reason::promise_forgone);
  const Judged& best = providers_.front().judged;
  if (best.verdict == Verdict::fits || only_they_may_be_in_time()) return go(reason);
  if (local_.lateness <= best.lateness) return local_then_providers(Reason::least_late);
  return providers_then_local(Reason::least_late);
}

Result<Plan> Decision::local_then_providers(Reason reason) {
  push_local();
  fill_up();
  return finished(reason);
}

Result<Plan> Decision::providers_then_local(Reason reason) {
  const bool rescue = local_may_rescue() && attempts_max() > 1;
  push_providers(attempts_max() - (rescue ? 1 : 0));
  if (rescue) push_local();
  fill_up();
  return finished(reason);
}

Result<Plan> Decision::named(Result<Plan> plan, const config::Rule& rule) {
  if (plan) return plan;
  Error error = plan.error();
  error.rule = rule.name;
  return error;
}

Error Decision::refusal() const { return refusal_of(settings_, plan_, request_, fleet_); }

void Decision::judge_engine() {
  if (!route_.local) return;
  local_ = judge_local(fleet_, work_, terms_.ttft_headroom);
  plan_.local = local_.prediction;
  plan_.considered.push_back({.target = settings_.local.front().name,
                              .verdict = local_.verdict,
                              .ttft = local_.ttft,
                              .finish = local_.finish});
}

// `of_here`: only those on this machine.
void Decision::judge_providers(bool of_here) {
  for (const Offer& offer : route_.providers) {
    const config::ProviderTarget& provider = settings_.providers[offer.provider];
    if (of_here && !provider.is_here()) continue;
    const bool in_class = class_.uses(provider.name) || route_.fixed();
    Judged judged{.verdict = Verdict::not_in_class};
    if (in_class && !may_have_data(provider, class_, request_.key)) {
      judged.verdict = Verdict::not_resident;
    } else if (in_class && !class_.takes_architecture(provider.architecture)) {
      judged.verdict = Verdict::other_model;
    } else if (in_class) {
      const ProviderFacts facts = facts_of(provider, offer.provider, fleet_);
      judged = judge_provider(provider, facts, work_, fleet_.now);
      if (class_.price_max && judged.expected_cost > *class_.price_max && can_take(judged.verdict))
        judged.verdict = Verdict::too_dear;
    }
    if (can_take(judged.verdict)) providers_.add(offer, judged, class_.prefer, place_of(offer));
    plan_.considered.push_back({.target = provider.name,
                                .verdict = judged.verdict,
                                .ttft = judged.ttft,
                                .finish = judged.finish,
                                .in_time = judged.in_time,
                                .cached_tokens = judged.cached_tokens,
                                .expected_cost = judged.expected_cost});
  }
}

// Where the class puts it, if that is not by price or pace.
double Decision::place_of(const Offer& offer) const {
  const config::ProviderTarget& provider = settings_.providers[offer.provider];
  if (class_.prefer == config::Prefer::weighted)
    return turn_of(request_.draw, provider.name, provider.weight);
  if (class_.prefer != config::Prefer::ordered) return 0.0;
  const auto& listed = class_.providers;
  if (listed.empty()) return static_cast<double>(offer.provider);
  return static_cast<double>(std::find(listed.begin(), listed.end(), provider.name) -
                             listed.begin());
}

bool Decision::local_may_rescue() const {
  return route_.local && can_take(local_.verdict) && rescue_;
}

std::size_t Decision::attempts_max() const {
  const int most = static_cast<int>(decltype(plan_.candidates)::kShort);
  return static_cast<std::size_t>(std::clamp(settings_.policy.attempts_max, 1, most));
}

// Where the local engine comes first its prediction will be held against what happens: no
// estimates.
void Decision::see_to_the_end() {
  if (!local_.prediction || local_.prediction->exact) return;
  local_ = judge_local(fleet_, work_, terms_.ttft_headroom, Sight::to_the_end);
  plan_.local = local_.prediction;
}

void Decision::push_local() {
  if (plan_.candidates.empty()) see_to_the_end();
  plan_.candidates.push_back({.target = settings_.local.front().name,
                              .model = route_.local->model,
                              .served_as = route_.local->served_as,
                              .architecture = settings_.local.front().architecture,
                              .local = true,
                              .continues = true,
                              .not_for_full = turn_ != Turn::unknown,
                              .lane = work_.lane,
                              .patience = patience_,
                              .ttft = local_.ttft_typical,
                              .ttft_p95 = local_.ttft_p95});
}

// Who comes again is asked for its usual tier: the cheaper one had no room.
void Decision::push_providers(std::size_t at_most) {
  const Promise promise = promised(class_, request_);
  for (std::size_t i = 0; i < std::min(at_most, providers_.size()); ++i) {
    const auto& [offer, judged, first, second] = providers_[i];
    const config::ProviderTarget& provider = settings_.providers[offer.provider];
    const bool again = judged.at_batch_rate && is_planned(provider.name, offer.model);
    const config::NanoUsd cost = again ? judged.full_cost : judged.expected_cost;
    if (again && class_.price_max && cost > *class_.price_max) continue;
    plan_.candidates.push_back({.target = provider.name,
                                .model = offer.model,
                                .served_as = offer.served_as,
                                .architecture = provider.architecture,
                                .continues = provider.continues != "no",
                                .at_batch_rate = judged.at_batch_rate && !again,
                                .lane = provider.is_here() ? work_.lane : Lane::foreground,
                                .form_tokens = judged.form_tokens,
                                .ttft = judged.ttft_typical,
                                .ttft_p95 = judged.ttft_p95,
                                .promise = promise,
                                .worst_case_cost = judged.worst_case_cost,
                                .expected_cost = cost});
    plan_.worst_case_cost = std::max(plan_.worst_case_cost, judged.worst_case_cost);
  }
}

// With the providers once more, the best first.
void Decision::fill_up() {
  std::size_t before = attempts_max();
  while (plan_.candidates.size() < attempts_max() && plan_.candidates.size() != before) {
    before = plan_.candidates.size();
    push_providers(attempts_max() - before);
  }
}

bool Decision::is_planned(std::string_view target, std::string_view model) const {
  return std::any_of(plan_.candidates.begin(), plan_.candidates.end(), [&](const Candidate& one) {
    return one.target == target && one.model == model;
  });
}

Result<Plan> Decision::finished(Reason reason) {
  plan_.reason = reason;
  return std::move(plan_);
}

}  // namespace spillway::policy
