// Opens the plan's candidates in order until one gives its first piece: what fails before that is
// replaced by the next, and the client sees nothing of it.
//
// Runs on the request's coroutine. Cancelling it drops the stream being opened. Each attempt is
// written into the receipt and told to the fleet (breaker, rate limit, latency).
#pragma once

#include "backends/contract/backend.h"
#include "gateway/edition.h"
#include "gateway/fleet.h"
#include "gateway/local_target.h"
#include "gateway/policy/plan.h"
#include "gateway/receipt.h"

#include <memory>
#include <optional>

namespace spillway {

// A stream whose first piece has come, and the candidate that gave it.
struct Opened {
  std::unique_ptr<TokenStream> stream;
  Delta first;
  policy::Candidate candidate;
  std::optional<FleetVisit> visit;  // Empty for the local target.
};

class Dispatcher {
 public:
  Dispatcher(LocalTarget* local, Fleet& fleet) : local_(local), fleet_(fleet) {}

  // The first candidate that answers. Fails with the client's own fault at once (invalid_request,
  // context_too_long), with cancelled or deadline_exceeded when there is no use in going on, else
  // with what the candidates said: rate_limited or overloaded if all are full for now,
  // backend_unavailable otherwise.
  Async<Opened> open_first(const policy::Plan& plan, const Edition& edition,
                           std::shared_ptr<const ChatRequest> request, Deadline deadline,
                           Receipt& receipt);

 private:
  Async<Opened> open(const policy::Candidate& candidate, const Edition& edition,
                     std::shared_ptr<const ChatRequest> request, Deadline deadline);
  Backend* backend_of(const policy::Candidate& candidate, const Edition& edition) const;

  LocalTarget* const local_;  // Null without a local target.
  Fleet& fleet_;
};

}  // namespace spillway
