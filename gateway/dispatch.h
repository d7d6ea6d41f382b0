// Opens one candidate of a plan and waits for its first piece.
//
// Runs on the request's coroutine. Cancelling it drops the stream being opened. Providers' answers
// and failures are told to the fleet (breaker, rate limit, latency).
#pragma once

#include "backends/contract/backend.h"
#include "gateway/edition.h"
#include "gateway/fleet.h"
#include "gateway/local_target.h"
#include "gateway/policy/plan.h"

#include <memory>
#include <optional>
#include <string_view>

namespace spillway {

// What a candidate may ask for though none of its answer came.
struct Unanswered {
  bool at_work = false;  // It had the request, and had not refused it.
  std::optional<Usage> told;
};

// A stream whose first piece has come, and the candidate that gave it.
struct Opened {
  std::unique_ptr<TokenStream> stream;
  Delta first;
  std::optional<Usage> told;  // Before the first piece.
  policy::Candidate candidate;
  std::optional<FleetVisit> visit;  // Empty for the local target.
};

class Dispatcher {
 public:
  Dispatcher(LocalTarget* local, Fleet& fleet) : local_(local), fleet_(fleet) {}

  // Fails with what the candidate said, or with overloaded if its breaker or its limits keep it
  // from being asked now; `unanswered` says then what it may cost all the same.
  Async<Opened> open(const policy::Candidate& candidate, const Edition& edition,
                     std::shared_ptr<const ChatRequest> request, std::string_view tenant,
                     Deadline deadline, Unanswered& unanswered);

 private:
  Backend* backend_of(const policy::Candidate& candidate, const Edition& edition) const;

  LocalTarget* const local_;  // Null without a local target.
  Fleet& fleet_;
};

}  // namespace spillway
