// Handlers of a tenant's stored objects: who calls is found out, what the work makes is sent as
// JSON, what goes wrong in OpenAI's words.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/edition.h"
#include "gateway/http/server.h"

#include <functional>
#include <string>

namespace spillway {

// On whose account a request is.
struct Visitor {
  std::string tenant;
  std::string key_name;
};

// Whose key the request carries, if that may call its path.
Result<policy::Caller> caller_of(const Edition& edition, const http::Request& raw);

Result<Visitor> visitor_of(const CurrentEdition& editions, const http::Request& raw);

// The parameters of a page: how many are asked for, `usual` if the client does not say, `most` at
// most; and in which order.
Result<int> page_limit(const http::Request& raw, int usual, int most);
Result<bool> newest_first(const http::Request& raw, bool usual);

// Makes the answer's JSON; both arguments live until it has.
using ObjectWork = std::function<Async<std::string>(http::Request&, const Visitor&)>;

// Requires: `editions` outlives the handler.
http::Handler object_handler(const CurrentEdition& editions, ObjectWork work);

}  // namespace spillway
