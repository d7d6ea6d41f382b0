// What a protocol may know of a request and of who sends it. Any thread.
#pragma once

#include "gateway/http/message.h"
#include "gateway/policy/auth.h"
#include "gateway/wire/protocol.h"

#include <string>
#include <utility>

namespace spillway {

// With `body` instead of its own.
inline wire::Call call_of(const http::Request& raw, std::string body,
                          const policy::Caller& caller) {
  const bool reads_files = policy::check_scope(caller, "/v1/files").has_value();
  return {raw.id, std::string(caller.tenant()), raw.arrived_at, std::move(body), reads_files};
}

}  // namespace spillway
