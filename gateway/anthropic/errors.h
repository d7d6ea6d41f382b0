// The same failures in Anthropic's words: {"type":"error","error":{"type","message"},"request_id"}.
// Pure and thread-safe; the advice to the SDK is wire's.
#pragma once

#include "gateway/wire/errors.h"

#include <string>
#include <string_view>

namespace spillway::anthropic {

// Before anything was sent. What is full is 529 here, and what is not paid 402.
wire::ErrorReply error_reply(const Error& error, std::string_view request_id);

// The object, which is also the data of a stream's `error` event.
std::string error_object(const Error& error, std::string_view request_id);

}  // namespace spillway::anthropic
