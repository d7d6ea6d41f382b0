// Whether text from a stranger is JSON, so that it may then be read where it lies.
//
// Pure; any thread. Nothing is built: answers come token by token, and making a tree of each event
// would be most of what a streamed token costs.
#pragma once

#include <string_view>

namespace spillway::cloud {

inline constexpr int kJsonNestingMax = 64;
inline constexpr int kJsonMembersMax = 2'048;  // Who reads them looks for each from the front.

// True if `text` is one JSON value (RFC 8259) in well-formed UTF-8, with nothing but white space
// around it, nested at most kJsonNestingMax deep, and with as many members in an object at most.
bool is_json(std::string_view text);

}  // namespace spillway::cloud
