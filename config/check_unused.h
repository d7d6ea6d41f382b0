// Settings that do nothing as the rest of the file is: parts of what nobody switched on, bounds
// that another bound makes idle. Pure.
#pragma once

#include "config/problem.h"
#include "config/reader.h"
#include "config/settings.h"

#include <vector>

namespace spillway::config {

// Requires: settings without problems, and the places they were read from.
std::vector<Problem> check_unused(const Settings& settings, const Places& places);

}  // namespace spillway::config
