// The settings in force as YAML, every default written out. Pure.
#pragma once

#include "config/settings.h"

#include <string>

namespace spillway::config {

// Behind each value stands where it came from, as a comment: the line of the file, or `default`.
// Loads again to equal settings. A secret stands as its source (env:NAME, file:PATH), or as ***
// where the settings do not say; never as its value.
std::string effective_yaml(const Settings& settings);

}  // namespace spillway::config
