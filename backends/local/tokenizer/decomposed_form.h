// Unicode's decomposed forms (NFD and NFKD), as the `tokenizers` library makes them: by its own
// tables.
//
// Pure; any thread. Bytes that are not UTF-8 stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace spillway::tokenizer {

// `compatible`: what only looks otherwise is written plainly as well (NFKD).
std::string decomposed_form(std::string_view text, bool compatible = false);

}  // namespace spillway::tokenizer
