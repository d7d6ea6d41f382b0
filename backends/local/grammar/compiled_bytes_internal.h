// What came of a form as bytes, for another process of this program that has the same vocabulary.
// xgrammar's own way through JSON takes several times as long as compiling.
#pragma once

#include "backends/local/grammar/compiler_internal.h"

#include <string>
#include <string_view>

namespace spillway::local::grammar {

std::string packed(const Result<Made>& made);

// Throws where the bytes are none that packed() wrote.
Result<Made> unpacked_made(std::string_view bytes, const xgrammar::TokenizerInfo& tokens);

}  // namespace spillway::local::grammar
