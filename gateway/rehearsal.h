// The last decisions with all that they were made from, so that a policy which is to take over can
// be asked first what it would have done.
//
// Thread-safe. Decisions are recorded at most every ten milliseconds, a few hundred are kept;
// nothing of a prompt or a key's secret is in them.
#pragma once

#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/router.h"
#include "gateway/rehearsed.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

class Rehearsal {
 public:
  explicit Rehearsal(std::size_t kept) : kept_(kept) {}

  void record(const policy::RequestFacts& request, const policy::FleetFacts& fleet,
              policy::Turn turn);

  Rehearsed run(const policy::Router& before, const policy::Router& after) const;

 private:
  // A decision's facts, and what their views point to.
  struct Recorded {
    Recorded(const policy::RequestFacts& request, const policy::FleetFacts& fleet,
             policy::Turn turn);

    // As the settings of a router see them: a key is theirs, if they have it.
    policy::RequestFacts request_for(const config::Settings& settings) const;
    policy::FleetFacts fleet_now() const;

    policy::RequestFacts request;
    std::string model, service_tier, endpoint, class_header, label;
    std::optional<config::Key> key;
    std::vector<FieldNeed> beyond;
    policy::FleetFacts fleet;
    std::optional<EngineStatus> engine;
    policy::Turn turn;
  };

  const std::size_t kept_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Recorded>> ring_;
  std::size_t recorded_ = 0;  // So far; the next one goes to recorded_ modulo kept_.
  TimePoint last_{};
};

}  // namespace spillway
