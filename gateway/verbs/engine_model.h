// Which engine `spillway simulate` puts under the policy: the reference model, or that of a running
// gateway.
#pragma once

#include "gateway/playback/simulation.h"
#include "gateway/verbs/options.h"

namespace spillway::verbs {

// --engine-model, and where the running gateway's admin listens.
void declare_engine_model(Options& options);

// Puts it into the setup, whose settings must be there: the fitted engine has the room of their
// local target. Not kDone: told what is wrong.
int choose_engine_model(const Options& options, SimulationSetup& setup);

}  // namespace spillway::verbs
