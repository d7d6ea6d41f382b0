#include "gateway/reload/probation.h"

#include "config/named.h"
#include "gateway/policy/choice.h"
#include "gateway/reload/request_outcome.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway {
namespace {

using policy::Outcome;
using policy::Side;

config::Canary as_of_a_canary(const config::Rollback& terms) {
  config::Canary same;
  same.requests_min = terms.requests_min;
  same.attainment_loss_max = terms.attainment_loss_max;
  same.error_rise_max = terms.error_rise_max;
  return same;
}

// But for what it is said to cost, to take and to be worth: that shows in who is asked.
bool are_treated_alike(const config::ProviderTarget& now, const config::ProviderTarget& then) {
  if (now == then) return true;
  config::ProviderTarget same = now;
  same.price = then.price;
  same.weight = then.weight;
  same.measured = then.measured;
  same.batches = then.batches;
  return same == then;
}

// Asked the same, of somebody who is treated the same.
bool are_alike(const policy::Candidate& now, const config::Settings& settings,
               const policy::Candidate& then, const config::Settings& before) {
  if (now.target != then.target || now.model != then.model || now.lane != then.lane) return false;
  const auto* const provider = config::named(settings.providers, now.target);
  const auto* const known = config::named(before.providers, then.target);
  return (provider == nullptr) == (known == nullptr) &&
         (provider == nullptr || are_treated_alike(*provider, *known));
}

std::optional<std::size_t> parting(const Result<policy::Plan>& plan, const policy::Plan& before) {
  if (!plan || plan->wait.has_value() != before.wait.has_value()) return 0;
  if (plan->request_class->hedge != before.request_class->hedge) return 0;
  const auto& now = plan->candidates;
  const auto& then = before.candidates;
  for (std::size_t i = 0; i < std::min(now.size(), then.size()); ++i) {
    if (!are_alike(now[i], *plan->settings, then[i], *before.settings)) return i;
  }
  if (now.size() == then.size()) return std::nullopt;
  return std::min(now.size(), then.size());
}

std::optional<double> in_seconds(const std::optional<config::Milliseconds>& limit) {
  if (!limit) return std::nullopt;
  return std::chrono::duration<double>(*limit).count();
}

// It went where the policy before would not have gone, or did not go on where that would have.
bool went_another_way(const Receipt& receipt) {
  const auto& before = receipt.before;
  if (!before || !before->parts_at || !before->in_time) return false;
  return receipt.error || receipt.attempts.size() > *before->parts_at;
}

bool is_bad(Outcome outcome) { return outcome == Outcome::missed || outcome == Outcome::failed; }

}  // namespace

std::optional<PolicyBefore> policy_before(const Edition& before, const Result<policy::Plan>& plan,
                                          const policy::RequestFacts& facts,
                                          const policy::FleetFacts& fleet, policy::Turn turn) {
  const auto then = before.router.plan(facts, fleet, turn);
  if (!then) return std::nullopt;
  PolicyBefore told;
  told.sla_ttft = in_seconds(then->sla.ttft);
  told.sla_per_token = in_seconds(then->sla.per_token);
  told.refused_now = !plan;
  told.in_time = policy::is_in_time(*then, then->sla);
  told.parts_at = parting(plan, *then);
  return told;
}

void Probation::take_over(std::uint64_t policy, std::optional<Watch> watch) {
  std::lock_guard lock(mutex_);
  policy_ = policy;
  judge_.succeed(watch ? as_of_a_canary(watch->terms) : config::Canary{});
  if (!watch) return;
  before_ = std::move(watch->before);
  terms_ = watch->terms;
  begun_ = SteadyClock::now();
  ruled_ = false;
  told_.end.reset();
  told_.why.clear();
  told_.sha256 = std::move(watch->sha256);
  told_.excused = 0;
}

// Who never came past the door says nothing, nor does who began under another policy.
std::optional<Probation::Ruling> Probation::ended(const Receipt& receipt) {
  if (receipt.key_name.empty() || receipt.canary != 0) return std::nullopt;
  const auto& before = receipt.before;
  const bool is_refused_now = before && before->refused_now;
  if (!is_refused_now && is_no_evidence(receipt)) return std::nullopt;
  const Outcome outcome = before ? outcome_of(receipt, before->sla_ttft, before->sla_per_token)
                                 : outcome_of(receipt, receipt.sla_ttft, receipt.sla_per_token);
  std::lock_guard lock(mutex_);
  if (receipt.policy != policy_) return std::nullopt;
  if (before_ && is_bad(outcome) && !went_another_way(receipt)) {
    ++told_.excused;
  } else {
    judge_.ended(Side::canary, outcome);
  }
  if (!before_ || ruled_) return std::nullopt;
  auto ruling = this->ruling();
  ruled_ = ruling.has_value();
  return ruling;
}

// Requires: the mutex is held.
std::optional<Probation::Ruling> Probation::ruling() const {
  std::string burning = judge_.burning();
  if (!burning.empty()) return Ruling{policy_, WatchEnd::rolled_back, std::move(burning)};
  if (SteadyClock::now() - begun_ < terms_.watch) return std::nullopt;
  return Ruling{policy_, WatchEnd::kept, "its time is over"};
}

std::optional<Probation::Before> Probation::stop() {
  std::lock_guard lock(mutex_);
  if (!before_) return std::nullopt;
  told_.seconds = seconds_between(begun_, SteadyClock::now());
  told_.before = told(judge_.ended(Side::stable));
  told_.now = told(judge_.ended(Side::canary));
  return std::exchange(before_, std::nullopt);
}

void Probation::conclude(WatchEnd end, const std::string& why) {
  std::lock_guard lock(mutex_);
  told_.end = end;
  told_.why = why;
  ++told_.ends[static_cast<std::size_t>(end)];
}

std::uint64_t Probation::policy() const {
  std::lock_guard lock(mutex_);
  return before_ ? policy_ : 0;
}

WatchState Probation::state() const {
  std::lock_guard lock(mutex_);
  WatchState state = told_;
  if (!before_) return state;
  state.seconds = seconds_between(begun_, SteadyClock::now());
  state.before = told(judge_.ended(Side::stable));
  state.now = told(judge_.ended(Side::canary));
  return state;
}

}  // namespace spillway
