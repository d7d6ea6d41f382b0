// Unicode's composed form (NFC), as the `tokenizers` library makes it: by its own tables.
//
// Pure; any thread. Bytes that are not UTF-8 stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace spillway::tokenizer {

// False where the form is known to be the text itself, which most is.
bool needs_composing(std::string_view text);

std::string composed_form(std::string_view text);

}  // namespace spillway::tokenizer
