#include "gateway/reload/trial.h"

#include "gateway/reload/request_outcome.h"

#include <utility>

namespace spillway {

using policy::Side;

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

// Who never came past the door is on neither side, nor is who began under an earlier canary. What
// the canary alone refuses is its own doing.
std::optional<Trial::Ruling> Trial::ended(const Receipt& receipt) {
  if (number_ == 0 || receipt.key_name.empty()) return std::nullopt;
  if (!receipt.canary_refuses && is_no_evidence(receipt)) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (receipt.canary != 0 && receipt.canary != number_) return std::nullopt;
  const Side side = receipt.canary == 0 ? Side::stable : Side::canary;
  const policy::Outcome outcome = outcome_of(receipt, receipt.sla_ttft, receipt.sla_per_token);
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
