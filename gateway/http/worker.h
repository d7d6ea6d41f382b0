// One thread, its io_context and the sessions that live on it, with the sweep that enforces their
// timeouts.
//
// A sweep several times a second costs nothing per request, where a timer for each wait would.
// Constructed and destroyed by the server's owner; the methods say who may call them.
#pragma once

#include "gateway/http/server_context.h"
#include "gateway/http/session.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>

namespace spillway::http {

class Worker {
 public:
  Worker(ServerContext& context, std::string thread_name);
  ~Worker();  // stop()s. Handlers that still run are destroyed where they wait.
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  boost::asio::io_context& io() { return io_; }
  void start();  // Owner, once.
  void stop();   // Owner. Joins the thread; what is unfinished stays so. Idempotent.

  // Any thread. `socket` was made with io(). `full`: one that is idle makes room for it, or it is
  // turned away.
  void adopt(boost::asio::ip::tcp::socket socket, std::string peer, bool full);
  void drain();
  void abort_sessions();
  int connections() const { return connections_.load(std::memory_order_relaxed); }

 private:
  struct Finished;

  void begin_session(boost::asio::ip::tcp::socket socket, std::string peer);
  void end_session(Session* session);
  void count_out();
  bool make_room();
  void refuse(boost::asio::ip::tcp::socket socket);
  boost::asio::awaitable<void> sweep();
  void refresh_date();

  ServerContext& context_;
  const std::string thread_name_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer
      sweep_timer_;  // Made here, so that io_ opens its descriptors at start-up.
  std::thread thread_;
  std::atomic<int> connections_{0};

  // On the worker's thread only.
  std::unordered_set<Session*> sessions_;  // Owned by their coroutines' completion handlers.
  std::string date_;
  std::time_t date_second_ = 0;
};

}  // namespace spillway::http
