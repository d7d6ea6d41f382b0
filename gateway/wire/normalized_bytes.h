// How many bytes a text may have once a tokenizer has put it into a form of Unicode's, as it does
// before it makes tokens of it: NFC (Qwen) or NFKC (rerankers of XLM-R's kind). Few characters grow
// by that, and what is ASCII costs next to nothing to look through. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway::wire {

// Never less than the text has. It may be JSON, whose escapes are looked into.
std::size_t normalized_bytes_max(std::string_view text);

}  // namespace spillway::wire
