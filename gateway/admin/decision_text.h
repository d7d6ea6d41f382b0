// A decision told to a person: where the request went and why, what was expected of each target
// beside what came, and why the others were not taken. Pure.
#pragma once

#include "gateway/admin/decisions.h"
#include "gateway/reload/rollout_state.h"

#include <optional>
#include <string>

namespace spillway::admin {

// With what a shadow policy would have done, if there is one.
std::string told(const Decision& decision, const std::optional<ShadowChoice>& shadow);

// The table of the targets alone.
std::string told(const std::vector<ConsideredTarget>& considered, std::string_view taken);

}  // namespace spillway::admin
