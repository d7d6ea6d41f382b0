// The reference engine with the step times that a running gateway has learnt of its own: the
// "fitted" engine model.
//
// Blocks on one question at the admin listener.
#pragma once

#include "backends/contract/error.h"
#include "gateway/remote/admin_client.h"
#include "gateway/simulate/reference_engine.h"

#include <optional>
#include <span>
#include <string>

namespace spillway::live {

// `like` in all but its pace and the least that is read of a prompt in a step, which is our
// engine's own. backend_unavailable: nobody answers there. not_found: it tells of no steps.
Result<simulate::ReferenceEngineParams> fitted_engine(const remote::AdminDoor& admin,
                                                      const simulate::ReferenceEngineParams& like);

// The same of what /metrics says; nothing: it tells of no steps.
std::optional<simulate::ReferenceEngineParams> fitted_engine(
    const std::string& metrics, const simulate::ReferenceEngineParams& like);

// The mean of several such, of one engine at different times: each knows its last dozen steps only,
// which do not tell well how much is due to what. Requires: there is one.
simulate::ReferenceEngineParams mean_pace(std::span<const simulate::ReferenceEngineParams> fitted);

}  // namespace spillway::live
