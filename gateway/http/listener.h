// The listening socket: each connection goes to the worker with the fewest.
//
// Its coroutine runs on the first worker. Survives a process that is out of descriptors: one is
// kept in reserve, given up to accept and drop the next client (which would otherwise wait in the
// kernel's queue without an answer), and accepting pauses for a moment.
#pragma once

#include "gateway/http/server_context.h"
#include "gateway/http/worker.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <vector>

namespace spillway::http {

class Listener {
 public:
  // The workers outlive the listener and are not running when it is destroyed.
  Listener(ServerContext& context, std::vector<std::unique_ptr<Worker>>& workers);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Result<void> bind();  // Owner, before start().
  void start();         // Owner.
  std::uint16_t port() const { return port_; }
  void close();  // Any thread.

 private:
  boost::asio::awaitable<void> accept_loop();
  boost::asio::awaitable<void> pause_after(boost::system::error_code error);
  void hand_over(boost::asio::ip::tcp::socket socket, Worker& worker,
                 const boost::asio::ip::tcp::endpoint& peer);
  void drop_one();
  Worker& least_loaded() const;

  ServerContext& context_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  int reserve_descriptor_ = -1;
};

}  // namespace spillway::http
