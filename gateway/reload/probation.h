// The policy that all keys have, for a while after a reload brought it: how its requests end beside
// those of the policy before, and whether that is to come back.
//
// The two are not in force at the same time, so that engine, providers and load may have changed as
// well. What ends badly therefore counts against a policy only where the one before would have gone
// another way, and in time as far as was known then (PolicyBefore); and promises are those that the
// one before makes.
//
// Thread-safe. It rules; rollout.h carries that out.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/fleet/edition.h"
#include "gateway/policy/canary.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/reload/rollout_state.h"
#include "gateway/request/receipt.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace spillway {

// What the policy before would make of a request about which `plan` was decided from these facts.
std::optional<PolicyBefore> policy_before(const Edition& before, const Result<policy::Plan>& plan,
                                          const policy::RequestFacts& facts,
                                          const policy::FleetFacts& fleet, policy::Turn turn);

class Probation {
 public:
  // What would come back, and the text of the file that it was read from.
  struct Before {
    std::shared_ptr<const Edition> edition;
    std::string text;
  };

  // A policy that is to be watched, from a configuration of that digest.
  struct Watch {
    std::string sha256;
    Before before;
    config::Rollback terms;
  };

  // All keys have the policy of that number from now on. Requires: the watch before has ended.
  void take_over(std::uint64_t policy, std::optional<Watch> watch);

  // How the watch of that policy should end, and why.
  struct Ruling {
    std::uint64_t policy = 0;
    WatchEnd end = WatchEnd::rolled_back;
    std::string why;
  };

  // A request is over. Rules at most once on each policy.
  std::optional<Ruling> ended(const Receipt& receipt);

  // Nothing is watched any more. What was in force before; empty: nothing was watched.
  std::optional<Before> stop();

  // What became of the policy whose watch was stopped last, once all of that is done; `why` is for
  // people.
  void conclude(WatchEnd end, const std::string& why);

  // That is watched; 0: none is.
  std::uint64_t policy() const;

  // Of the one that is watched, else of the last.
  WatchState state() const;

 private:
  std::optional<Ruling> ruling() const;

  mutable std::mutex mutex_;
  std::uint64_t policy_ = 0;
  std::optional<Before> before_;
  config::Rollback terms_;
  policy::CanaryJudge judge_{{}};  // Its canary is the policy in force.
  TimePoint begun_{};
  bool ruled_ = false;
  WatchState told_;  // But for its sides.
};

}  // namespace spillway
