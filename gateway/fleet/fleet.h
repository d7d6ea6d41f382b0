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
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

class Fleet;

class FleetVisit {
 public:
  FleetVisit(FleetVisit&& other) noexcept;
  FleetVisit& operator=(FleetVisit&& other) noexcept;
  ~FleetVisit();  // Gives the place back.

  void answered(const RateLeft& left);   // The first token came, or the whole answer at once.
  void finished(int completion_tokens);  // The stream is complete.

  // Of that: whole, and told in tokens.
  void wrote(std::size_t bytes, int tokens);
  void billed(int prompt_tokens, int cached_tokens);
  double bytes_per_token() const;  // Of its answers of late.

  // Before its first token, or in the middle. True if nobody is to ask it from now on, for a while.
  bool failed(const Error& error);

  // Which of the provider's it is at, and where that is.
  std::size_t server() const { return visit_.server; }
  const std::string& address() const { return servers_->address(visit_.server); }

 private:
  friend class Fleet;
  FleetVisit(Fleet& fleet, std::shared_ptr<policy::Servers> servers, policy::Visit visit)
      : fleet_(&fleet), servers_(std::move(servers)), visit_(visit) {}

  Fleet* fleet_;
  std::shared_ptr<policy::Servers> servers_;  // Null once moved from.
  policy::Visit visit_;
};

// A hedge that is counted as spent until this goes; see policy::HedgeBudget.
class HedgePass {
 public:
  HedgePass(HedgePass&& other) noexcept;
  HedgePass& operator=(HedgePass&& other) noexcept;
  ~HedgePass();

 private:
  friend class Fleet;
  HedgePass(Fleet& fleet, std::string request_class, config::NanoUsd most)
      : fleet_(&fleet), class_(std::move(request_class)), most_(most) {}

  Fleet* fleet_;  // Null once moved from.
  std::string class_;
  config::NanoUsd most_;
};

// As policy::Entered.
struct FleetEntry {
  std::optional<FleetVisit> visit;
  bool retries_used_up = false;
};

// One provider at a moment, for gauges.
struct ProviderGauges {
  policy::ProviderFacts facts;
  int times_opened = 0;
  std::vector<policy::Servers::Gauge> servers;
};

class Fleet {
 public:
  // Takes on the providers of `settings`; those whose settings stayed the same keep what is known
  // of them.
  void adopt(const config::Settings& settings);

  // See policy::FleetState.
  policy::FleetFacts facts(const EngineStatus* engine,
                           const policy::PromptMarks* prompt = nullptr) const;

  // Begins an attempt at one of the provider's servers; without a visit where breakers, rate limits
  // or concurrency leave no room: take the next candidate.
  FleetEntry visit(std::string_view provider, const policy::Call& call);

  // See policy::FleetState.
  void local_first_token(const policy::Prediction& predicted, const StepModel& step,
                         double seconds);
  void completed(const policy::Answered& answer);
  void decided(const policy::Plan& plan, const policy::RequestFacts& request);

  // A second target may be asked, which may cost `most` for nothing; empty: the class has spent
  // what it grants for that.
  std::optional<HedgePass> hedge(const config::RequestClass& request_class, config::NanoUsd most);

  // A request is over, and cost `all`; of this `twice` for what nobody got.
  void spent(std::string_view request_class, config::NanoUsd all, config::NanoUsd twice,
             bool hedged);

  // A request is over; see policy::Feedback.
  void settled(std::string_view request_class, const policy::Settled& request);
  std::vector<policy::ClassTerms> class_terms() const;

  // What fails from now on says nothing of anybody: the gateway stops.
  void stop();

  std::vector<ProviderGauges> gauges() const;

  double prediction_error(double quantile) const;

 private:
  friend class FleetVisit;
  friend class HedgePass;

  mutable std::mutex mutex_;
  policy::FleetState state_;
  bool stopped_ = false;
};

}  // namespace spillway
