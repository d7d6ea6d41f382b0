// What asks a model to do more than write text: tools, functions, response formats. Checked, not
// kept: a provider gets the client's body as it is. Pure.
#pragma once

#include "gateway/wire/fields.h"

#include <optional>

namespace spillway::openai {

// True if the request needs a target that can do such things.
bool read_tools(wire::Fields& request, std::optional<Error>& error);

}  // namespace spillway::openai
