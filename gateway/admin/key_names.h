// Whether what a new key names exists. Pure.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <optional>

namespace spillway::admin {

// The first of the key's classes, models and scopes that is not there, or that its own name is one
// of the configuration's: a slip would be a key that is refused, or let into more than was meant.
std::optional<Error> unknown_name(const config::Key& key, const config::Settings& settings);

}  // namespace spillway::admin
