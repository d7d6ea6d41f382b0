// What asks a model to do more than write text: tools, functions, response formats. Checked, not
// kept: a provider gets the client's body as it is. Pure.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/wire/fields.h"

#include <optional>

namespace spillway::openai {

// What `response_format` wants of a target.
Need read_response_format(wire::Fields& request, std::optional<Error>& error);

// What of it a target must be able to do, what a provider would read for a tool that runs there,
// and whom it would ask, into `chat`.
void read_tools(wire::Fields& request, ChatRequest& chat, std::optional<Error>& error);

}  // namespace spillway::openai
