#include "gateway/http/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <linux/sockios.h>
#include <optional>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;

namespace {

constexpr std::size_t kReadMin = 4 << 10;
constexpr std::chrono::seconds kReadWithin{1};  // What has reached the client's machine.
constexpr std::size_t kInboundStart = 8 << 10;
constexpr std::size_t kInboundMax = 64 << 10;
// A coroutine that only ever writes at once would keep its worker from all other connections.
constexpr unsigned kWritesPerTurn = 16;

// Drops `sent` bytes from the front; false if nothing is left.
bool advance(Connection::Pieces& pieces, std::size_t sent) {
  bool left = false;
  for (net::const_buffer& piece : pieces) {
    const auto part = std::min(sent, piece.size());
    piece += part;
    sent -= part;
    left = left || piece.size() > 0;
  }
  return left;
}

}  // namespace

struct Connection::OnRead {
  Connection* connection;
  void operator()(boost::system::error_code error, std::size_t bytes) const {
    connection->on_read(error, bytes);
  }
};

Connection::Connection(net::ip::tcp::socket socket, const config::ServerLimits& limits)
    : socket_(std::move(socket)),
      wake_(socket_.get_executor(), Deadline::max()),
      write_timeout_(limits.write_timeout),
      inbound_max_(std::max(kInboundMax, 2 * static_cast<std::size_t>(limits.header_bytes_max))),
      inbound_(kInboundStart, '\0') {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
}

std::string_view Connection::unread() const {
  return std::string_view(inbound_).substr(begin_, end_ - begin_);
}

void Connection::consume(std::size_t bytes) { begin_ += bytes; }

net::awaitable<Connection::Arrival> Connection::wait_for_bytes(Deadline deadline) {
  const std::size_t had = received_;
  deadline_ = deadline;
  timed_out_ = false;
  while (received_ == had) {
    if (peer_closed_ || health_ != Health::good) co_return Arrival::closed;
    if (timed_out_) co_return Arrival::timed_out;
    arm_read();
    co_await wait_for_wake();
  }
  deadline_ = Deadline::max();
  co_return Arrival::bytes;
}

net::awaitable<void> Connection::wait_for_wake() {
  co_await wake_.async_wait(net::as_tuple(net::use_awaitable));
}

void Connection::arm_read() {
  if (reading_ || peer_closed_ || health_ != Health::good) return;
  make_room();
  if (end_ == inbound_.size()) {
    // Nobody honest pipelines so much behind a running request, and unread it would hide a hang-up.
    if (watching_) lose(Health::client_gone);
    return;
  }
  reading_ = true;
  const auto space = net::buffer(inbound_.data() + end_, inbound_.size() - end_);
  socket_.async_read_some(space, OnRead{this});
}

void Connection::make_room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (inbound_.size() - end_ < kReadMin && begin_ > 0) {
    std::copy(inbound_.begin() + begin_, inbound_.begin() + end_, inbound_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  const bool crowded = inbound_.size() - end_ < kReadMin || read_was_full_;
  if (crowded) inbound_.resize(std::min(2 * inbound_.size(), inbound_max_));
}

void Connection::on_read(boost::system::error_code error, std::size_t bytes) {
  reading_ = false;
  end_ += bytes;
  received_ += bytes;
  read_was_full_ = end_ == inbound_.size();
  if (bytes > 0 && !writing_) lost_ = nullptr;  // Who asks again has its answer.
  if (error) {
    peer_ended(error == net::error::eof);
  } else if (watching_) {
    arm_read();
  }
  wake_.cancel();
}

void Connection::peer_ended(bool politely) {
  peer_closed_ = true;
  if (!writing_ && (!politely || has_untaken())) tell_lost();
  if (!writing_) lost_ = nullptr;
  if (watching_) lose(Health::client_gone);
}

// A client that reads to the end says with its FIN that it has all. One that had closed before it
// answers our bytes with a reset, at once or when they arrive.
bool Connection::has_untaken() {
  int error = 0, bytes = 0;
  socklen_t size = sizeof error;
  const int socket = socket_.native_handle();
  const bool known = ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
                     ::ioctl(socket, SIOCOUTQ, &bytes) == 0;
  return !known || error != 0 || bytes > 0;
}

void Connection::if_lost(std::function<void()> lost) {
  lost_ = std::move(lost);
  taken_since_ = TimePoint::max();
  if (health_ != Health::good) tell_lost();
}

void Connection::tell_lost() {
  if (const auto lost = std::exchange(lost_, nullptr)) lost();
}

void Connection::watch(bool on) {
  watching_ = on;
  if (on) arm_read();
}

void Connection::lose(Health why) {
  if (health_ != Health::good) return;
  const bool has_all = why == Health::aborted && !writing_ && !has_untaken();
  health_ = why;
  if (has_all) lost_ = nullptr;
  tell_lost();
  boost::system::error_code ignored;
  if (why == Health::slow_client) {
    // The kernel would otherwise keep what the client does not read.
    socket_.set_option(net::socket_base::linger(true, 0), ignored);
  }
  if (why != Health::client_gone) socket_.close(ignored);
  if (watching_ && why != Health::slow_client) {
    cancellation_.emit(net::cancellation_type::terminal);
  }
}

Error Connection::why_lost() const {
  if (health_ == Health::slow_client) {
    return Error{Errc::slow_client, "the client read too slowly", "", std::nullopt};
  }
  return Error{Errc::cancelled, "the client went away", "", std::nullopt};
}

Async<void> Connection::write(Pieces pieces) {
  if (health_ != Health::good) co_return why_lost();
  boost::system::error_code error;
  const std::size_t sent = socket_.write_some(pieces, error);
  if (error && error != net::error::would_block) {
    lose(Health::client_gone);
    co_return why_lost();
  }
  if (advance(pieces, sent)) co_return co_await write_rest(pieces);
  if (++writes_ % kWritesPerTurn == 0) co_await net::post(net::use_awaitable);
  if (health_ != Health::good) co_return why_lost();
  co_return Result<void>();
}

std::size_t Connection::write_now(std::string_view bytes) {
  if (writing_ || health_ != Health::good) return 0;
  boost::system::error_code ignored;  // What is wrong with it the next read or write tells.
  return socket_.write_some(net::buffer(bytes.data(), bytes.size()), ignored);
}

Async<void> Connection::write_rest(Pieces pieces) {
  writing_ = true;
  bool left = true;
  while (left && health_ == Health::good) {
    deadline_ = SteadyClock::now() + write_timeout_;
    const auto [error, sent] =
        co_await socket_.async_write_some(pieces, net::as_tuple(net::use_awaitable));
    left = advance(pieces, sent);
    if (error == net::error::operation_aborted) lose(Health::aborted);
    if (error) lose(Health::client_gone);
  }
  writing_ = false;
  deadline_ = Deadline::max();
  if (health_ != Health::good) co_return why_lost();
  co_return Result<void>();
}

// The kernel there has taken it, and its program had time to close before it.
void Connection::forget_if_taken(TimePoint now) {
  if (!lost_ || writing_) return;
  int bytes = 0;
  const bool taken = ::ioctl(socket_.native_handle(), SIOCOUTQ, &bytes) == 0 && bytes == 0;
  if (!taken || taken_since_ == TimePoint::max()) taken_since_ = taken ? now : TimePoint::max();
  if (taken && now - taken_since_ >= kReadWithin) lost_ = nullptr;
}

void Connection::expire_if_due(TimePoint now) {
  forget_if_taken(now);
  if (now < deadline_) return;
  deadline_ = Deadline::max();
  if (writing_) {
    lose(Health::slow_client);
    return;
  }
  timed_out_ = true;
  wake_.cancel();
}

void Connection::abort() {
  lose(Health::aborted);
  wake_.cancel();
}

net::awaitable<void> Connection::linger(Deadline deadline) {
  boost::system::error_code ignored;
  socket_.shutdown(net::socket_base::shutdown_send, ignored);
  Arrival arrival = Arrival::bytes;
  while (arrival == Arrival::bytes) {
    consume(unread().size());
    arrival = co_await wait_for_bytes(deadline);
  }
}

net::awaitable<void> Connection::close() {
  lost_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
  while (reading_) co_await wait_for_wake();
}

}  // namespace spillway::http
