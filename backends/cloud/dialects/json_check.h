// Whether text from a stranger is JSON, so that it may then be read where it lies.
//
// Pure; any thread. Nothing is built: answers come token by token, and making a tree of each event
// would be most of what a streamed token costs.
#pragma once

#include "backends/contract/json_depth.h"

#include <string_view>

namespace spillway::cloud {

// True if `text` is one JSON value (RFC 8259) in well-formed UTF-8, with nothing but white space
// around it, nested at most kJsonNestingMax deep, and with as many members in an object at most.
bool is_json(std::string_view text);

}  // namespace spillway::cloud
