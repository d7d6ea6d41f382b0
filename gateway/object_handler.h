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

Result<Visitor> visitor_of(const CurrentEdition& editions, const http::Request& raw);

// Makes the answer's JSON; both arguments live until it has.
using ObjectWork = std::function<Async<std::string>(http::Request&, const Visitor&)>;

// Requires: `editions` outlives the handler.
http::Handler object_handler(const CurrentEdition& editions, ObjectWork work);

}  // namespace spillway
