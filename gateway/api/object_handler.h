// Handlers of a tenant's stored objects: who calls is found out, what the work makes is sent as
// JSON, what goes wrong in OpenAI's words.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/http/server.h"
#include "gateway/request/reception.h"

#include <functional>
#include <string>

namespace spillway {

// The parameters of a page: how many are asked for, `usual` if the client does not say, `most` at
// most; and in which order.
Result<int> page_limit(const http::Request& raw, int usual, int most);
Result<bool> newest_first(const http::Request& raw, bool usual);

// Makes the answer's JSON; both arguments live until it has.
using ObjectWork = std::function<Async<std::string>(http::Request&, const Visitor&)>;

// Requires: `reception` outlives the handler.
http::Handler object_handler(const Reception& reception, ObjectWork work);

}  // namespace spillway
