// The last decisions with all that they were made from, so that a policy which is to take over can
// be asked first what it would have done.
//
// Thread-safe. Decisions are recorded at most every ten milliseconds, a few hundred are kept.
#pragma once

#include "gateway/fleet/moment.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/router.h"
#include "gateway/reload/recorded.h"
#include "gateway/reload/rehearsed.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace spillway {

constexpr std::chrono::seconds kRehearsalTimeMax{2};

// Each made again by both, until all are or the time is over.
Rehearsed rehearse(const std::vector<std::shared_ptr<const Recorded>>& newest_first,
                   const policy::Router& before, const policy::Router& after,
                   std::chrono::milliseconds time_max = kRehearsalTimeMax);

class Rehearsal {
 public:
  explicit Rehearsal(std::size_t kept) : kept_(kept) {}

  void record(const policy::RequestFacts& request, const std::shared_ptr<const Moment>& moment,
              policy::Turn turn);

  Rehearsed run(const policy::Router& before, const policy::Router& after,
                std::chrono::milliseconds time_max = kRehearsalTimeMax) const {
    return rehearse(newest_first(), before, after, time_max);
  }

 private:
  std::vector<std::shared_ptr<const Recorded>> newest_first() const;

  const std::size_t kept_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Recorded>> ring_;
  std::size_t recorded_ = 0;  // So far; the next one goes to recorded_ modulo kept_.
  TimePoint last_{};
};

}  // namespace spillway
