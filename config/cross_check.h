// What is legal and hardly meant: classes that nothing reaches, promises that no target can keep by
// its own catalogue, keys sent in clear. Pure but for a look at the files that are named.
#pragma once

#include "config/problem.h"
#include "config/reader.h"
#include "config/settings.h"

#include <vector>

namespace spillway::config {

// In the order of the file. Requires: settings without problems, and the places they were read
// from.
std::vector<Problem> cross_check(const Settings& settings, const Places& places);

}  // namespace spillway::config
