// Reads the lists `rules` and `tests`: their rows, and what only this room can say of them: routes
// that must exist, conditions that must make sense. Used by load.cpp alone.
#pragma once

#include "config/document.h"
#include "config/reader.h"
#include "config/settings.h"

namespace spillway::config {

// Requires: the targets are in `settings`.
void read_rules(const Node& root, Settings& settings, Reader& reader);
void read_tests(const Node& root, Settings& settings, Reader& reader);

}  // namespace spillway::config
