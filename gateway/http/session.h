// One connection's life: read a request, let the handler answer it, and again, until somebody has
// had enough.
//
// Lives on one worker's thread. `run` is the root coroutine; its completion destroys the session.
#pragma once

#include "gateway/http/connection.h"
#include "gateway/http/request_reader.h"
#include "gateway/http/server_context.h"
#include "gateway/http/session_body.h"
#include "gateway/http/session_writer.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <string>

namespace spillway::http {

class SessionSocket;

class Session {
 public:
  // `date` is the worker's current Date header value; it and the context outlive the session.
  Session(ServerContext& context, const std::string& date, boost::asio::ip::tcp::socket socket,
          std::string peer);

  boost::asio::awaitable<void> run();

  // From the worker's thread, between the session's own steps.
  void expire_if_due(TimePoint now) {
    connection_.expire_if_due(now);
    if (answering_ != nullptr) answering_->speak_if_due(now);
    expire_message_if_due(now);
  }
  void drain();  // Closes if no request has begun, nor a turn on a WebSocket.
  void abort();  // Cancels the handler, closes.

  // When it is closed for want of a request, or would be, were it no WebSocket; max() while it has
  // one, or a turn.
  Deadline idle_until() const;

  boost::asio::cancellation_slot cancellation_slot() { return connection_.cancellation().slot(); }

 private:
  enum class Received { request, rejected, nothing };

  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<Received> receive();
  boost::asio::awaitable<bool> wait_for_more(bool begun);
  boost::asio::awaitable<bool> answer(Request request);
  boost::asio::awaitable<void> handle_or_excuse(Request request, SessionWriter& out);
  boost::asio::awaitable<bool> handle(Request request, SessionWriter& out);
  boost::asio::awaitable<void> refuse(Error error);
  boost::asio::awaitable<void> send_error(Error error, SessionWriter& out);
  void expire_message_if_due(TimePoint now);
  void reject(Reject reason, Error error);
  void count_loss();

  ServerContext& context_;
  const std::string& date_;
  const std::string peer_;
  Connection connection_;
  RequestReader reader_;
  SessionWriter* answering_ = nullptr;  // While a handler runs.
  SessionSocket* talking_ = nullptr;    // The same, where its client wants a WebSocket.
  Error refusal_;                       // Why the request in hand was rejected.
  Deadline deadline_{};                 // Of the part of a request being read.
  bool idle_ = false;                   // Waits for the first byte of a request.
};

}  // namespace spillway::http
