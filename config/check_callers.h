// What is legal of those who call and pay, and hardly meant: tenants that are nobody's or
// called almost like another, budgets that bound nothing, matchers that no request fits. Pure.
#pragma once

#include "config/problem.h"
#include "config/reader.h"
#include "config/settings.h"

#include <vector>

namespace spillway::config {

// Those of the file are all that there are: none are made while it runs, which are in the state or
// the database and may be of any tenant.
bool keys_are_known(const Settings& settings);

// Requires: settings without problems, and the places they were read from.
std::vector<Problem> check_callers(const Settings& settings, const Places& places);

}  // namespace spillway::config
