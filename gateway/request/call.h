// What a protocol may know of a request and of who sends it. Any thread.
#pragma once

#include "gateway/http/message.h"
#include "gateway/policy/auth.h"
#include "gateway/request/refusal.h"
#include "gateway/wire/attachments.h"
#include "gateway/wire/protocol.h"

#include <string>
#include <utility>
#include <vector>

namespace spillway {

// What a client of Anthropic's wants beyond its version, in a header each or in one.
inline std::vector<std::string> betas_of(const http::Request& raw) {
  std::vector<std::string> betas;
  for (const http::Header& header : raw.headers) {
    if (header.name == "anthropic-beta") betas.push_back(header.value);
  }
  return betas;
}

// With `body` instead of its own.
inline wire::Call call_of(const http::Request& raw, std::string body, const policy::Caller& caller,
                          wire::ReadingRoom& room) {
  return {raw.id,
          std::string(caller.tenant()),
          raw.arrived_at,
          std::move(body),
          std::string(raw.header("anthropic-version")),
          betas_of(raw),
          &room};
}

// Its body, understood; that is no longer there then.
inline Async<wire::Asked> asked_by(http::Request& raw, const wire::Protocol& protocol,
                                   const policy::Caller& caller, wire::ReadingRoom& room) {
  if (!raw.may_be_json()) co_return not_json();
  wire::Call call = call_of(raw, std::move(raw.body), caller, room);
  co_return co_await protocol.parse(std::move(call));
}

// Whose files it may name.
inline wire::Reader reader_of(const policy::Caller& caller) {
  return {std::string(caller.tenant()), policy::check_scope(caller, "/v1/files").has_value()};
}

}  // namespace spillway
