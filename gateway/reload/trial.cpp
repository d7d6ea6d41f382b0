#include "gateway/reload/trial.h"

#include "gateway/telemetry/derived.h"

#include <utility>

namespace spillway {
namespace {

using policy::Outcome;
using policy::Side;

// What says nothing of a policy: what its client asked for that nobody gives, or in less time than
// its class promises. What the canary alone refuses is its own doing.
bool is_no_evidence(const Receipt& receipt) {
  if (receipt.canary_refuses) return false;
  const bool refused = receipt.error && !telemetry::is_our_failure(receipt.error->code);
  return refused || receipt.has_own_limits;
}

Outcome outcome_of(const Receipt& receipt) {
  if (receipt.error) return Outcome::failed;
  const auto first_token = telemetry::first_token_kept(receipt);
  const auto per_token = telemetry::per_token_kept(receipt);
  if (!first_token && !per_token) return Outcome::unpromised;
  return first_token.value_or(true) && per_token.value_or(true) ? Outcome::attained
                                                                : Outcome::missed;
}

CanarySide told(const policy::CanaryJudge::Counts& counts) {
  const auto of = [&](Outcome outcome) { return counts[static_cast<std::size_t>(outcome)]; };
  return {of(Outcome::attained), of(Outcome::missed), of(Outcome::failed), of(Outcome::unpromised)};
}

}  // namespace

void Trial::begin(std::uint64_t number, std::shared_ptr<const Edition> edition,
                  const config::Canary& terms) {
  std::lock_guard lock(mutex_);
  told_.end.reset();
  told_.sha256 = edition->settings->sha256;
  told_.share = terms.share;
  told_.why.clear();
  edition_ = std::move(edition);
  terms_ = terms;
  judge_ = policy::CanaryJudge(terms);
  begun_ = SteadyClock::now();
  ruled_ = false;
  number_ = number;
}

void Trial::exchange(std::shared_ptr<const Edition> edition) {
  std::lock_guard lock(mutex_);
  edition_.swap(edition);
}

// Who never came past the door is on neither side, nor is who began under an earlier canary.
std::optional<Trial::Ruling> Trial::ended(const Receipt& receipt) {
  if (number_ == 0 || receipt.key_name.empty() || is_no_evidence(receipt)) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (receipt.canary != 0 && receipt.canary != number_) return std::nullopt;
  const Side side = receipt.canary == 0 ? Side::stable : Side::canary;
  const Outcome outcome = outcome_of(receipt);
  judge_.ended(side, outcome);
  ++of_all_[static_cast<std::size_t>(side)][static_cast<std::size_t>(outcome)];
  auto ruling = ruled_ ? std::nullopt : this->ruling();
  ruled_ |= ruling.has_value();
  return ruling;
}

// Requires: the mutex is held.
std::optional<Trial::Ruling> Trial::ruling() const {
  std::string burning = judge_.burning();
  if (!burning.empty()) return Ruling{number_, CanaryEnd::rolled_back, std::move(burning)};
  const bool is_due =
      terms_.promote_after.count() > 0 && SteadyClock::now() - begun_ >= terms_.promote_after;
  if (!is_due || !judge_.has_seen_enough()) return std::nullopt;
  return Ruling{number_, CanaryEnd::promoted, "it has been well for its time"};
}

void Trial::end(CanaryEnd end, const std::string& why) {
  std::lock_guard lock(mutex_);
  if (number_ == 0) return;
  number_ = 0;
  told_.end = end;
  told_.why = why;
  told_.seconds = seconds_between(begun_, SteadyClock::now());
  ++told_.ends[static_cast<std::size_t>(end)];
  edition_ = nullptr;
}

std::shared_ptr<const Edition> Trial::edition() const {
  std::lock_guard lock(mutex_);
  return edition_;
}

CanaryState Trial::state() const {
  std::lock_guard lock(mutex_);
  CanaryState state = told_;
  state.runs = number_ != 0;
  if (state.runs) state.seconds = seconds_between(begun_, SteadyClock::now());
  state.sides = {told(judge_.ended(Side::stable)), told(judge_.ended(Side::canary))};
  state.of_all = {told(of_all_[0]), told(of_all_[1])};
  return state;
}

}  // namespace spillway
