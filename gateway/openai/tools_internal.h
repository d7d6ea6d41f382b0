// What asks a model to do more than write text: tools, functions, response formats. Checked, not
// kept: a provider gets the client's body as it is. Pure.
#pragma once

#include "gateway/openai/fields_internal.h"

#include <optional>

namespace spillway::openai {

// True if the request needs a target that can do such things.
bool read_tools(Fields& request, std::optional<Error>& error);

}  // namespace spillway::openai
