// Guards JSON parsers, and all who copy what they make or look for its members one by one, against
// what only an attacker writes. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway {

inline constexpr int kJsonNestingMax = 64;
inline constexpr int kJsonMembersMax = 2'048;       // Of one object: each is looked for in turn.
inline constexpr int kJsonAllMembersMax = 100'000;  // Of all.

// True if arrays and objects nest more than `depth_max` deep; `text` need not be valid JSON.
bool nests_deeper_than(std::string_view text, int depth_max);

// True if there are certainly more values than that, told without reading them; `text` need not be
// valid JSON.
bool has_more_values(std::string_view text, int values_max);

// True if they nest deeper or have more members than that; `text` need not be valid JSON.
bool is_outsized(std::string_view text);

}  // namespace spillway
