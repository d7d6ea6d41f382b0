// What a protocol may know of a request and of who sends it. Any thread.
#pragma once

#include "gateway/http/message.h"
#include "gateway/policy/auth.h"
#include "gateway/wire/attachments.h"
#include "gateway/wire/protocol.h"

#include <string>
#include <utility>

namespace spillway {

// With `body` instead of its own.
inline wire::Call call_of(const http::Request& raw, std::string body,
                          const policy::Caller& caller) {
  return {raw.id, std::string(caller.tenant()), raw.arrived_at, std::move(body)};
}

// Whose files it may name.
inline wire::Reader reader_of(const policy::Caller& caller) {
  return {std::string(caller.tenant()), policy::check_scope(caller, "/v1/files").has_value()};
}

}  // namespace spillway
