// How an error reaches the client: as plain JSON while the head is still ours to choose, as an
// error event once the stream has begun, not at all when nobody listens any more.
#pragma once

#include "backends/contract/error.h"
#include "gateway/http/response_writer.h"
#include "gateway/http/server.h"

namespace spillway {

boost::asio::awaitable<void> refuse(const Error& error, http::ResponseWriter& out);

// The same for what the HTTP layer refuses before any handler runs.
http::ErrorReply protocol_reply(const Error& error);

}  // namespace spillway
