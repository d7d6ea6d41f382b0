#include "gateway/policy/breaker.h"

#include <algorithm>

namespace spillway::policy {

Breaker::Breaker(const config::Breaker& rules)
    : rules_(rules), window_(static_cast<std::size_t>(std::max(1, rules.window))) {}

Permission Breaker::permission(TimePoint now) const {
  if (state_ == State::closed) return Permission::closed;
  if (now < open_until_ || probe_taken_) return Permission::open;
  return Permission::probe;
}

Breaker::Pass Breaker::enter(TimePoint now) {
  const Permission permission = this->permission(now);
  if (permission == Permission::open) return {};
  const bool is_probe = permission == Permission::probe;
  if (is_probe) probe_taken_ = true;
  return {true, is_probe};
}

void Breaker::succeeded(Pass pass) {
  if (pass.is_probe) {
    close();
    return;
  }
  if (state_ == State::closed) record(false);
}

void Breaker::failed(Pass pass, TimePoint now) {
  if (pass.is_probe) {
    probe_taken_ = false;
    open(now + rules_.open_for, false);
    return;
  }
  // What was under way when it opened tells nothing new.
  if (state_ == State::open) return;
  record(true);
  const double share = static_cast<double>(failures_) / seen_;
  if (failures_ >= rules_.failures_min && share >= rules_.failure_share_max)
    open(now + rules_.open_for, false);
}

void Breaker::refused_account(Pass pass, TimePoint now) {
  if (pass.is_probe) probe_taken_ = false;
  if (!pass.is_probe && refuses_account()) return;
  open(now + rules_.account_pause, true);
}

void Breaker::withdrawn(Pass pass) {
  if (pass.is_probe) probe_taken_ = false;
}

void Breaker::record(bool failure) {
  const std::size_t at = static_cast<std::size_t>(next_);
  const int size = static_cast<int>(window_.size());
  if (seen_ == size && window_[at]) --failures_;
  seen_ = std::min(seen_ + 1, size);
  window_[at] = failure;
  if (failure) ++failures_;
  next_ = (next_ + 1) % size;
}

void Breaker::open(TimePoint until, bool refuses_account) {
  state_ = State::open;
  open_until_ = until;
  refuses_account_ = refuses_account;
  ++times_opened_;
}

void Breaker::close() {
  state_ = State::closed;
  probe_taken_ = false;
  next_ = seen_ = failures_ = 0;
}

}  // namespace spillway::policy
