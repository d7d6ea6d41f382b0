// Problems of a configuration file as a compiler would print them: FILE:LINE:COLUMN: what to write
// instead.
#pragma once

#include "config/load.h"

#include <string>

namespace spillway::verbs {

// Problems and warnings to stderr.
void print_problems(const std::string& path, const config::Loaded& loaded);

}  // namespace spillway::verbs
