// Unicode's decomposed form (NFD), as the `tokenizers` library makes it: by its own tables.
//
// Pure; any thread. Bytes that are not UTF-8 stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace spillway::tokenizer {

std::string decomposed_form(std::string_view text);

}  // namespace spillway::tokenizer
