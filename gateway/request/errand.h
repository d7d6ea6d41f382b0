// Work that the gateway does on somebody's behalf, without a connection: through the same pipeline
// and on that tenant's and key's account, the answer into a writer of the caller's.
#pragma once

#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <string>

namespace spillway {

struct Handing;
struct HandedBack;

// Called once nothing is left to refuse it for but that nobody can answer; an error refuses it.
using Accept = std::function<Async<void>()>;

struct OnBehalf {
  std::string tenant;
  std::string key_name;
  bool in_a_batch = false;
  Accept accept = nullptr;
  Handing* handing = nullptr;        // It is to leave in a provider's batch: written there.
  const HandedBack* back = nullptr;  // It has come back from one. Both outlive the errand.
};

using Errand =
    std::function<boost::asio::awaitable<void>(OnBehalf, http::Request, http::ResponseWriter&)>;

// By path: "/v1/chat/completions".
using Errands = std::map<std::string, Errand, std::less<>>;

}  // namespace spillway
