// The values that labels of metrics may take.
#pragma once

#include "config/settings.h"
#include "gateway/telemetry/closed_sets.h"

namespace spillway {

// What the configuration names, and the policy's reasons.
telemetry::ClosedSets label_sets(const config::Settings& settings);

}  // namespace spillway
