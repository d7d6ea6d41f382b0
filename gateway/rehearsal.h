// The last decisions with all that they were made from, so that a policy which is to take over can
// be asked first what it would have done.
//
// Thread-safe. Decisions are recorded at most every ten milliseconds, a few hundred are kept.
#pragma once

#include "gateway/moment.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/router.h"
#include "gateway/recorded.h"
#include "gateway/rehearsed.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace spillway {

class Rehearsal {
 public:
  explicit Rehearsal(std::size_t kept) : kept_(kept) {}

  void record(const policy::RequestFacts& request, const std::shared_ptr<const Moment>& moment,
              policy::Turn turn);

  // The newest first, until all are made again or the time is over.
  Rehearsed run(const policy::Router& before, const policy::Router& after,
                std::chrono::milliseconds time_max = kTimeMax) const;

 private:
  static constexpr std::chrono::seconds kTimeMax{2};

  std::vector<std::shared_ptr<const Recorded>> newest_first() const;

  const std::size_t kept_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Recorded>> ring_;
  std::size_t recorded_ = 0;  // So far; the next one goes to recorded_ modulo kept_.
  TimePoint last_{};
};

}  // namespace spillway
