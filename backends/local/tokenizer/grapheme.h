// Graphemes of less than six bytes, as the `tokenizers` library sees them: its Precompiled
// normalizer writes these anew as a whole (charsmap.h).
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway::tokenizer {

// How long the first grapheme is. What has more than five bytes at the least is told exactly, too,
// but for pairs of flags, which are cut in two. A byte that is no UTF-8 is one of its own.
// Requires: `text` is not empty.
std::size_t first_grapheme(std::string_view text);

}  // namespace spillway::tokenizer
