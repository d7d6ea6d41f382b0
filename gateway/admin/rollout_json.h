// How the configuration in force stands, as JSON. Pure.
#pragma once

#include "gateway/admin/admin.h"
#include "gateway/reload/rehearsed.h"
#include "gateway/reload/rollout_state.h"

#include <nlohmann/json_fwd.hpp>

namespace spillway::admin {

nlohmann::ordered_json to_json(const RolloutState& state);
nlohmann::ordered_json to_json(const Rehearsed& rehearsed);

// 409: a reload would refuse the file.
Answer answer_of(const Tried& tried);

}  // namespace spillway::admin
