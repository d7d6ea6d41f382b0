// Whether text from a stranger is JSON, so that it may then be read where it lies.
//
// Pure; any thread. Nothing is built: answers come token by token, and making a tree of each event
// would be most of what a streamed token costs.
#pragma once

#include <string_view>

namespace spillway::cloud {

inline constexpr int kJsonNestingMax = 64;

// True if `text` is one JSON value (RFC 8259) in well-formed UTF-8, with nothing but white space
// around it, nested at most kJsonNestingMax deep.
bool is_json(std::string_view text);

}  // namespace spillway::cloud
