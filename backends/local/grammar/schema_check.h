// A JSON schema as xgrammar can hold an answer to it, to the last keyword. Pure.
//
// What fits the result fits the schema, though not all that fits the schema can be said: objects
// with named properties get no others (their keys could be said twice), and in their order. A
// schema that cannot be held to is refused, as a keyword that is left out silently is a promise
// broken.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>

namespace spillway::local::grammar {

// The schema to compile. An error's message goes on from the field's name: "has … at …".
Result<std::string> checked_schema(std::string_view text);

}  // namespace spillway::local::grammar
