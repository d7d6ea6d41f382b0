// A circuit breaker for one provider. Closed until, of its last `window` attempts, at least
// `failures_min` and a share of `failure_share_max` failed; then open for `open_for`; then half
// open: one probe at a time, whose success closes it with a clean window and whose failure opens it
// again. A provider that refuses the gateway's account opens it at once, for `account_pause`. Time
// is passed in.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"

#include <vector>

namespace spillway::policy {

class Breaker {
 public:
  explicit Breaker(const config::Breaker& rules);

  // What a request may expect now; takes nothing.
  Permission permission(TimePoint now) const;

  // Lets an attempt through or not; in the half-open state the first caller takes the probe. Each
  // true must be followed by exactly one of succeeded, failed, refused_account or withdrawn, told
  // whether it was the probe.
  struct Pass {
    bool allowed = false;
    bool is_probe = false;
  };
  Pass enter(TimePoint now);

  void succeeded(Pass pass);
  void failed(Pass pass, TimePoint now);
  void refused_account(Pass pass, TimePoint now);
  void withdrawn(Pass pass);  // It ended without telling anything of the provider's health.

  TimePoint open_until() const { return open_until_; }
  bool refuses_account() const { return state_ == State::open && refuses_account_; }
  int times_opened() const { return times_opened_; }

 private:
  enum class State { closed, open };

  void record(bool failure);
  void open(TimePoint until, bool refuses_account);
  void close();

  config::Breaker rules_;
  State state_ = State::closed;
  TimePoint open_until_{};
  bool refuses_account_ = false;  // It is open for that.
  bool probe_taken_ = false;
  std::vector<bool> window_;  // A ring of the last attempts: true failed.
  int next_ = 0;
  int seen_ = 0;
  int failures_ = 0;
  int times_opened_ = 0;
};

}  // namespace spillway::policy
