// What is known of the targets as it changes: each provider's health, the local engine's
// punctuality, how long answers have been of late. The policy's pure state machines under one
// mutex, held for microseconds.
//
// Thread-safe. A FleetVisit is one attempt at one provider, from just before it is sent until its
// stream is over or dropped; it belongs to the request's coroutine and may outlive a reload, not
// the Fleet.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/correction.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/health.h"
#include "gateway/policy/length.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

class Fleet;

class FleetVisit {
 public:
  FleetVisit(FleetVisit&& other) noexcept;
  FleetVisit& operator=(FleetVisit&& other) noexcept;
  ~FleetVisit();  // Gives the place back.

  void answered(bool streamed);          // The first token came, or the whole answer at once.
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
  std::optional<FleetVisit> visit(std::string_view provider);

  // The local engine's first token came `seconds` after a decision that predicted `predicted`, or
  // `model` by the step model alone (policy::Prediction::ttft and ttft_model).
  void local_first_token(double predicted, double model, double seconds);

  // A whole answer came, from wherever.
  void completed(int completion_tokens);

  std::vector<ProviderGauges> gauges() const;

  // Quantile of |predicted − observed| ÷ observed TTFT of the local engine over the last minutes.
  double prediction_error(double quantile) const;

 private:
  friend class FleetVisit;

  struct Provider {
    config::ProviderTarget settings;
    std::shared_ptr<policy::Health> health;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Provider, std::less<>> providers_;
  policy::Correction correction_;
  policy::AnswerLength length_;
};

}  // namespace spillway
