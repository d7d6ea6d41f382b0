// The WebSocket of one request: Beast's, on the connection's socket.
//
// Lives in the session's frame while the handler runs, on the connection's thread. One read is
// always under way, so that pings and a client that leaves are noticed while a turn is answered.
#pragma once

#include "gateway/http/connection.h"
#include "gateway/http/message.h"
#include "gateway/http/server_context.h"
#include "gateway/http/web_socket.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace spillway::http {

class SessionSocket final : public WebSocket {
 public:
  // Whether the request asks for one.
  static bool wanted_by(const Request& request);

  // Both must outlive it. Requires: wanted_by(request).
  SessionSocket(Connection& connection, const Request& request, ServerContext& context);
  ~SessionSocket();

  Async<void> accept() override;
  Async<std::string> receive(Deadline until) override;
  Async<void> send(std::string text) override;
  void close_with(CloseCode code, std::string why) override;

  // The connection speaks HTTP no more.
  bool accepted() const { return accepted_; }

  // Between turns: as if it were a connection without a request. max() during one.
  Deadline idle_until() const;

  void expire_if_due(TimePoint now);  // Ends it if a message takes too long, in or out.
  void drain();                       // Whoever waits for a message is told to go.
  void abort();                       // Ends it now, cancelling the handler.

  // Says goodbye, as far as there is somebody to say it to. Must be awaited before destruction.
  boost::asio::awaitable<void> finish();

 private:
  struct Stream;
  struct OnRead;

  void prepare();
  void arm_read();
  void on_read(boost::system::error_code error);
  bool may_hold_more();
  void take_message();
  void refuse(CloseCode code, std::string why);
  void reset();
  void lose();

  Connection& connection_;
  ServerContext& context_;
  const std::unique_ptr<Stream> stream_;
  boost::asio::steady_timer wake_;  // Cancelled to wake the session's coroutine.
  std::deque<std::string> messages_;
  std::size_t waiting_bytes_ = 0;                    // Of `messages_`.
  std::vector<std::shared_ptr<const void>> leaves_;  // To hold what has come,
  std::size_t allowed_ = kSmallBody;                 // …of at most so many bytes.
  TimePoint begun_{};                                // When the message that is arriving did,
  Deadline whole_by_ = Deadline::max();              // …and when it must be whole.
  Deadline taken_by_ = Deadline::max();    // When the client must have taken what is sent.
  Deadline idle_until_ = Deadline::max();  // While nothing is under way.
  CloseCode code_ = CloseCode::normal;
  std::string why_;
  bool accepted_ = false;
  bool reading_ = false;
  bool lost_ = false;  // Nothing more is read or said.
};

}  // namespace spillway::http
