// Whether a regular expression stays small when its repetitions are written out. Pure.
#pragma once

#include "backends/contract/error.h"

#include <string_view>

namespace spillway::local::grammar {

// Repetitions with a limit, those inside each other multiplied.
inline constexpr int kRepeatsMax = 2'000;

// Of regular expressions and of grammars, whose repetitions look the same. An error's message goes
// on from the name of what has it.
Result<void> check_regex(std::string_view text);

}  // namespace spillway::local::grammar
