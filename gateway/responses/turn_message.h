// The messages of the responses protocol over a WebSocket. Pure; JSON goes in and out as text.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>

namespace spillway::responses {

// The body of POST /v1/responses that a client's `response.create` stands for: a stream.
// invalid_request if it is something else, or asks for what only a request can.
Result<std::string> body_of_turn(std::string_view message);

// An error's JSON as the message that ends a turn before its first event.
std::string error_message(int status, std::string_view error_object);

// The connection is as old as it may get: the client continues on another.
std::string too_old_message();

}  // namespace spillway::responses
