// The reference engine with the step times that a running gateway has learnt of its own: the
// "fitted" engine model.
//
// Blocks on one GET of the admin listener's /metrics.
#pragma once

#include "config/settings.h"
#include "gateway/simulate/reference_engine.h"

#include <string>

namespace spillway::live {

// `like` in all but its pace and the least that is read of a prompt in a step, which is our
// engine's own; as it is where nobody answers or nothing has been learnt.
simulate::ReferenceEngineParams fitted_engine(const config::Endpoint& admin,
                                              const simulate::ReferenceEngineParams& like);

// The same of what /metrics says.
simulate::ReferenceEngineParams fitted_engine(const std::string& metrics,
                                              const simulate::ReferenceEngineParams& like);

}  // namespace spillway::live
