// How the configuration in force stands, as JSON. Pure.
#pragma once

#include "gateway/rehearsed.h"
#include "gateway/rollout_state.h"

#include <nlohmann/json_fwd.hpp>

namespace spillway::admin {

nlohmann::ordered_json to_json(const RolloutState& state);
nlohmann::ordered_json to_json(const Rehearsed& rehearsed);

}  // namespace spillway::admin
