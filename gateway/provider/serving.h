// One answer of the simulated provider: its pace, its fault, its end.
//
// Lives in the request's coroutine on the worker's thread; notes in the house's counts how it went,
// also when the client leaves.
#pragma once

#include "backends/simulated/echo.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/provider/house.h"
#include "gateway/provider/speech.h"

#include <boost/asio/awaitable.hpp>

namespace spillway::provider {

// Answers `request` on `out`. The key has been checked.
boost::asio::awaitable<void> serve(House& house, const Protocol& protocol, http::Request request,
                                   http::ResponseWriter& out);

}  // namespace spillway::provider
