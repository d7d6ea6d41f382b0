// One HTTP request, whole: head checked, body read, ready for a handler.
//
// A plain value that belongs to the handler's coroutine; nothing in it points into the connection,
// so it may outlive it, but for `incoming` and `web_socket`, valid as long as the handler runs.
// Made by the session on the connection's worker thread.
#pragma once

#include "backends/contract/deadline.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::http {

class BodyReader;
class WebSocket;

struct Header {
  std::string name;  // Lower case.
  std::string value;
};

struct Request {
  std::string id;      // Ours, never the client's: "req_" and 24 hexadecimal digits.
  std::string method;  // Upper case as sent: "POST".
  std::string path;    // Percent-decoded, without the query: "/v1/models/org/name".
  std::string tail;    // What a route's "{id}" matched; empty for exact routes.
  std::string query;   // After '?', as sent.
  std::vector<Header> headers;
  std::string body;
  BodyReader* incoming = nullptr;   // Routes that take their body piece by piece: `body` is empty.
  WebSocket* web_socket = nullptr;  // Where the client asks to go on with one.
  std::string peer;                 // "127.0.0.1:50412"
  TimePoint arrived{};  // Head and body were read; of the former, where the body is `incoming`.
  std::int64_t arrived_at = 0;  // The same in Unix seconds: for what is stored and told.

  // The first header of that name (given in lower case), or an empty view.
  std::string_view header(std::string_view name) const;

  // The key in `Authorization: Bearer KEY` (scheme in any case; the key may contain spaces), or an
  // empty view.
  std::string_view bearer_token() const;

  // The value in the query of `name=value`, percent-decoded; empty where there is none, or none
  // that decodes.
  std::string parameter(std::string_view name) const;

  // Whether the body may be JSON: its content-type says so, or there is none.
  bool may_be_json() const;

  // The bearer token, else what `x-api-key` (Anthropic's clients) or `api-key` (Azure's) says.
  std::string_view api_key() const;
};

}  // namespace spillway::http
