// Unicode's composed forms (NFC and NFKC), as the `tokenizers` library makes them: by its own
// tables.
//
// Pure; any thread. Bytes that are not UTF-8 stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace spillway::tokenizer {

// `compatible`: what only looks otherwise is written plainly as well (NFKC).

// False where the form is known to be the text itself, which most is.
bool needs_composing(std::string_view text, bool compatible = false);

std::string composed_form(std::string_view text, bool compatible = false);

}  // namespace spillway::tokenizer
