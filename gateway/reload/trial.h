// The canary: an edition that a share of the keys is under while it is tried, how it does beside
// the one in force, and what is to become of it.
//
// Thread-safe. It rules on the canary; rollout.h carries that out.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"
#include "gateway/fleet/edition.h"
#include "gateway/policy/canary.h"
#include "gateway/reload/rollout_state.h"
#include "gateway/request/receipt.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace spillway {

class Trial {
 public:
  // Begins with this edition, by these terms; `number` is what its requests' receipts carry.
  void begin(std::uint64_t number, std::shared_ptr<const Edition> edition,
             const config::Canary& terms);

  // The same policy with other keys.
  void exchange(std::shared_ptr<const Edition> edition);

  // How the canary of that number should end, and why.
  struct Ruling {
    std::uint64_t number = 0;
    CanaryEnd end = CanaryEnd::rolled_back;
    std::string why;
  };

  // A request is over. Rules at most once on each canary.
  std::optional<Ruling> ended(const Receipt& receipt);

  // It is over, if there is one; `why` is for people.
  void end(CanaryEnd end, const std::string& why);

  // Null: there is none.
  std::shared_ptr<const Edition> edition() const;
  std::uint64_t number() const { return number_; }  // 0: there is none.

  // Of the one that runs, else of the last.
  CanaryState state() const;

 private:
  std::optional<Ruling> ruling() const;

  std::atomic<std::uint64_t> number_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Edition> edition_;
  config::Canary terms_;
  policy::CanaryJudge judge_{{}};
  TimePoint begun_{};
  bool ruled_ = false;
  CanaryState told_;                                     // But for its sides:
  std::array<policy::CanaryJudge::Counts, 2> of_all_{};  // By Side.
};

}  // namespace spillway
