// Work that the gateway does on somebody's behalf, without a connection: through the same pipeline
// and on the account of the key of that name, the answer into a writer of the caller's.
#pragma once

#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <string>

namespace spillway {

using Errand = std::function<boost::asio::awaitable<void>(std::string key_name, http::Request,
                                                          http::ResponseWriter&)>;

// By path: "/v1/chat/completions".
using Errands = std::map<std::string, Errand, std::less<>>;

}  // namespace spillway
