// Letters in lower case, as the `tokenizers` library writes them: each on its own.
//
// Pure; any thread.
#pragma once

#include <string>

namespace spillway::tokenizer {

// Requires: a Unicode scalar value.
void append_lower(std::string& out, char32_t code);

}  // namespace spillway::tokenizer
