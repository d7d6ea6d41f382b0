// A template's source to its statements.
//
// Pure; any thread. Chat templates stand alone: include, import, extends and block are errors.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/template/syntax.h"

#include <string_view>

namespace spillway::templates {

inline constexpr std::size_t kSourceBytesMax = 1 << 20;

// Errors name the line and what was expected there.
Result<Body> parse(std::string_view source);

}  // namespace spillway::templates
