// What is known of the targets as it changes (policy::FleetState), with a clock, under one mutex
// that is held for microseconds.
//
// Thread-safe. A FleetVisit is one attempt at one provider, from just before it is sent until its
// stream is over or dropped; it belongs to the request's coroutine and may outlive a reload, not
// the Fleet.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/fleet_state.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

namespace spillway {

class Fleet;

class FleetVisit {
 public:
  FleetVisit(FleetVisit&& other) noexcept;
  FleetVisit& operator=(FleetVisit&& other) noexcept;
  ~FleetVisit();  // Gives the place back.

  void answered();                       // The first token came, or the whole answer at once.
  void finished(int completion_tokens);  // The stream is complete.
  void failed(const Error& error);       // Before its first token, or in the middle.

 private:
  friend class Fleet;
  FleetVisit(Fleet& fleet, std::shared_ptr<policy::Health> health, policy::Visit visit)
      : fleet_(&fleet), health_(std::move(health)), visit_(visit) {}

  Fleet* fleet_;
  std::shared_ptr<policy::Health> health_;  // Null once moved from.
  policy::Visit visit_;
};

// One provider at a moment, for gauges.
struct ProviderGauges {
  policy::ProviderFacts facts;
  int times_opened = 0;
};

class Fleet {
 public:
  // Takes on the providers of `settings`; those whose settings stayed the same keep what is known
  // of them.
  void adopt(const config::Settings& settings);

  // The facts at this moment; `engine` (null without a local target) must live as long as they do.
  policy::FleetFacts facts(const EngineStatus* engine) const;

  // Begins an attempt; empty if breaker, rate limit or concurrency leave no room: take the next
  // candidate.
  std::optional<FleetVisit> visit(std::string_view provider, policy::Asking asking);

  // See policy::FleetState.
  void local_first_token(const policy::Prediction& predicted, const StepModel& step,
                         double seconds);
  void completed(std::string_view request_class, int prompt_tokens, int completion_tokens,
                 bool cut);

  std::vector<ProviderGauges> gauges() const;

  double prediction_error(double quantile) const;

 private:
  friend class FleetVisit;

  mutable std::mutex mutex_;
  policy::FleetState state_;
};

}  // namespace spillway
