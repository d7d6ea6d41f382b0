// The tests that a policy brings along: each situation is put before the router, and what comes is
// held against what was expected. Pure.
#pragma once

#include "config/problem.h"
#include "config/settings.h"

#include <memory>
#include <vector>

namespace spillway::policy {

// One problem for each test that fails: where it stands, what was expected and what came instead.
std::vector<config::Problem> failed_tests(const std::shared_ptr<const config::Settings>& settings);

}  // namespace spillway::policy
