// GET /v1/responses with an upgrade to WebSocket: turn after turn on one connection, each through
// the pipeline like a streamed POST, its events as text messages.
//
// Serves on any worker.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/http/server.h"
#include "gateway/responses/responses_protocol.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <utility>

namespace spillway {

class ResponseSocket {
 public:
  // All must outlive it; `speak` answers a client's POST in a protocol.
  struct Doors {
    const CurrentEdition& editions;
    const responses::Archive& archive;
    const responses::ResponsesProtocol& protocol;
    std::function<http::Handler(const wire::Protocol&)> speak;
    responses::Enter enter;  // One connection more of a tenant.
  };

  explicit ResponseSocket(Doors doors) : doors_(std::move(doors)) {}

  boost::asio::awaitable<void> serve(http::Request raw, http::ResponseWriter& out) const;

 private:
  Result<responses::Leave> admit(const http::Request& raw) const;
  boost::asio::awaitable<void> converse(const http::Request& raw) const;

  const Doors doors_;
};

}  // namespace spillway
