// A client's socket: what has arrived, what is to be sent, and whether the client is still there.
//
// Lives on one worker's thread. One read is always under way, also while a handler runs, so that a
// client that hangs up is noticed at once and without extra system calls: what arrives early is
// simply the next request's beginning. No timers of its own: the worker's sweep calls
// `expire_if_due` with the time.
//
// Cancel: `cancellation` is connected to the session's coroutine. The connection emits it,
// terminally, when the client goes away while `watch`ing, or on `abort`.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/deadline.h"
#include "config/settings.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::http {

class Connection {
 public:
  enum class Health { good, client_gone, slow_client, aborted };
  enum class Arrival { bytes, closed, timed_out };
  using Pieces = std::array<boost::asio::const_buffer, 4>;

  Connection(boost::asio::ip::tcp::socket socket, const config::ServerLimits& limits);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What has arrived and was not consumed; valid until the next await.
  std::string_view unread() const;
  void consume(std::size_t bytes);

  // Waits until more has arrived than unread() shows, at most until `deadline`.
  boost::asio::awaitable<Arrival> wait_for_bytes(Deadline deadline);

  // While on, a client that hangs up cancels the session's coroutine. Early bytes are kept, up to
  // 64 KiB: behind that much the client is noticed to be gone at the next write only.
  void watch(bool on);

  // Sends all pieces in order. Returns cancelled or slow_client, after which the connection is
  // useless.
  Async<void> write(Pieces pieces);

  // Calls `lost`, once, if what is written next is seen not to have reached the client whole: it
  // left before, or while it was written, or closed without having taken all of it. Dropped when it
  // has, with its next bytes, and by `close`.
  void if_lost(std::function<void()> lost);

  // What of it the kernel takes at once, without waiting; nothing while a write is under way.
  std::size_t write_now(std::string_view bytes);

  Health health() const { return health_; }

  // For the sweep: ends the wait or the write that has lasted too long.
  void expire_if_due(TimePoint now);

  // The client was seen to have left in the middle of a request.
  void leave() { lose(Health::client_gone); }

  // Ends the connection now, cancelling whatever runs. Safe at any time on the worker's thread.
  void abort();

  // Says that nothing more will be sent, then takes and drops what the client still sends until it
  // closes or `deadline`: closing with unread bytes would reset the connection and could destroy
  // our last answer on its way.
  boost::asio::awaitable<void> linger(Deadline deadline);

  // Closes and waits until no read is under way. Must be awaited before destruction.
  boost::asio::awaitable<void> close();

  boost::asio::cancellation_signal& cancellation() { return cancellation_; }

  // Gives the socket away, to speak another protocol; nothing is sent or read here from then on.
  // Requires: no read is under way, that is, nobody has watched since the last byte came.
  boost::asio::ip::tcp::socket release() { return std::move(socket_); }
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  struct OnRead;

  void arm_read();
  void make_room();
  void on_read(boost::system::error_code error, std::size_t bytes);
  void lose(Health why);
  void peer_ended(bool politely);
  void tell_lost();
  void forget_if_taken(TimePoint now);
  bool has_untaken();
  Error why_lost() const;
  boost::asio::awaitable<void> wait_for_wake();
  Async<void> write_rest(Pieces pieces);

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer wake_;  // Never expires; cancelled to wake the session's coroutine.
  boost::asio::cancellation_signal cancellation_;
  const std::chrono::milliseconds write_timeout_;
  const std::size_t inbound_max_;

  std::string inbound_;  // Storage; [begin_, end_) is unread, a read may be filling what is behind.
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t received_ = 0;  // In all.
  bool reading_ = false;
  bool read_was_full_ = false;  // The last read could have taken more.
  bool peer_closed_ = false;
  bool watching_ = false;
  std::function<void()> lost_;                // Empty: nobody wants to know.
  TimePoint taken_since_ = TimePoint::max();  // What `lost_` waits for.

  Health health_ = Health::good;
  Deadline deadline_ = Deadline::max();
  bool writing_ = false;
  bool timed_out_ = false;
  unsigned writes_ = 0;
};

}  // namespace spillway::http
