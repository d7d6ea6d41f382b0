// What the gateway says of itself to who watches it: its state at this moment, for metrics and
// readiness, and each request once it is over.
//
// Any thread. Looks at what others own; all of it outlives this.
#pragma once

#include "config/settings.h"
#include "gateway/account/limiter.h"
#include "gateway/admin/decisions.h"
#include "gateway/api/repeats.h"
#include "gateway/engine_target.h"
#include "gateway/fleet/edition.h"
#include "gateway/fleet/fleet.h"
#include "gateway/fleet/waiting.h"
#include "gateway/http/server.h"
#include "gateway/kept_state.h"
#include "gateway/policy/admission.h"
#include "gateway/reload/rollout.h"
#include "gateway/reload/shadow.h"
#include "gateway/request/receipt.h"
#include "gateway/telemetry/live.h"
#include "gateway/telemetry/log.h"
#include "gateway/telemetry/metrics.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace spillway {

enum class Phase { loading, serving, draining };

class Observation {
 public:
  struct Sources {
    const std::shared_ptr<const config::Settings>& started_with;
    const std::atomic<Phase>& phase;
    telemetry::Log& log;
    telemetry::Metrics& metrics;
    admin::Decisions& decisions;
    Rollout& rollout;
    const KeptState& kept;
    const account::Limiter& limiter;
    const std::unique_ptr<EngineTarget>& engine;  // Made while the phase is `loading`.
    const Fleet& fleet;
    const WaitingRoom& waiting;
    const policy::Admission& admission;
    const CurrentEdition& editions;
    const Repeats& repeats;
    const Shadow& shadow;
    const http::Server& api;
    const http::Server& admin;
  };

  explicit Observation(const Sources& sources) : of_(sources) {}

  // A request is over: once each, on its worker.
  void tell(const Receipt& receipt) const;
  void tell_of_pause(const Attempt& attempt) const;

  telemetry::LiveState live_state() const;

  // Why no requests are wanted now; empty: ready.
  std::vector<std::string> unready() const;

  // What has failed of what serves all the same.
  std::vector<std::string> impaired() const;

 private:
  void add_terms(telemetry::LiveState& state) const;
  void add_engine(telemetry::LiveState& state) const;

  const Sources of_;
};

}  // namespace spillway
