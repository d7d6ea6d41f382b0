// What is legal in rules and hardly meant: rules that nothing reaches, conditions that never or
// always hold, names in them that nobody has; and promises that no target can keep. Pure.
#pragma once

#include "config/problem.h"
#include "config/reader.h"
#include "config/settings.h"

#include <vector>

namespace spillway::config {

// Requires: settings without problems, and the places they were read from.
std::vector<Problem> check_rules(const Settings& settings, const Places& places);

}  // namespace spillway::config
