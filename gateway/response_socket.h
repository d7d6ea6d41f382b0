// GET /v1/responses with an upgrade to WebSocket: turn after turn on one connection, each through
// the pipeline like a streamed POST, its events as text messages.
//
// Serves on any worker.
#pragma once

#include "gateway/edition.h"
#include "gateway/http/server.h"

#include <boost/asio/awaitable.hpp>

#include <utility>

namespace spillway {

class ResponseSocket {
 public:
  // `editions` must outlive it; `speak` answers a client's POST.
  ResponseSocket(const CurrentEdition& editions, http::Handler speak)
      : editions_(editions), speak_(std::move(speak)) {}

  boost::asio::awaitable<void> serve(http::Request raw, http::ResponseWriter& out) const;

 private:
  Result<void> admit(const http::Request& raw) const;
  boost::asio::awaitable<void> converse(const http::Request& raw) const;
  Async<void> take_turn(const http::Request& raw, std::string message) const;

  const CurrentEdition& editions_;
  const http::Handler speak_;
};

}  // namespace spillway
