// What a reload cannot apply. Pure.
#pragma once

#include "config/settings.h"

#include <string>
#include <vector>

namespace spillway::config {

// Dotted paths of the keys that differ and that the schema marks as needing a restart, e.g.
// "server.listen" or "targets.local.model"; a local target that came or went is named whole.
// Empty: `now` can take the place of `before` in the running process.
std::vector<std::string> restart_needed(const Settings& before, const Settings& now);

// The names of encoders that only `now` has: they are loaded at a start, and cannot answer before.
std::vector<std::string> encoders_to_load(const Settings& before, const Settings& now);

}  // namespace spillway::config
