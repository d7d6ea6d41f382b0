// Guards JSON parsers, and all who copy what they make, against nesting that only an attacker
// writes. Pure.
#pragma once

#include <string_view>

namespace spillway {

// True if arrays and objects nest more than `depth_max` deep; `text` need not be valid JSON.
bool nests_deeper_than(std::string_view text, int depth_max);

}  // namespace spillway
