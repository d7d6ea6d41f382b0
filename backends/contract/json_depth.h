// Guards JSON parsers, and all who copy what they make or look for its members one by one, against
// what only an attacker writes. Pure.
#pragma once

#include <string_view>

namespace spillway {

// True if arrays and objects nest more than `depth_max` deep; `text` need not be valid JSON.
bool nests_deeper_than(std::string_view text, int depth_max);

// True if they nest more than 64 deep, or one object has more than 2,048 members, or all have more
// than 100,000; `text` need not be valid JSON.
bool is_outsized(std::string_view text);

}  // namespace spillway
