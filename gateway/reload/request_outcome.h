// How a request ended, as policies are compared by it. Pure.
#pragma once

#include "gateway/policy/canary.h"
#include "gateway/reload/rollout_state.h"
#include "gateway/request/receipt.h"

#include <optional>

namespace spillway {

// What says nothing of a policy: what its client asked for that nobody gives, or in less time than
// its class promises.
bool is_no_evidence(const Receipt& receipt);

// By these promises, in seconds.
policy::Outcome outcome_of(const Receipt& receipt, const std::optional<double>& ttft,
                           const std::optional<double>& per_token);

PolicySide told(const policy::CanaryJudge::Counts& counts);

}  // namespace spillway
