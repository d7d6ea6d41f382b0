#include "gateway/http/session_socket.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

namespace {

using Head = beast::http::request<beast::http::empty_body>;

constexpr std::chrono::seconds kHandshakeMax{5};
constexpr std::size_t kMessagesWaitingMax = 16;
constexpr std::size_t kKeySize = 24;  // Of 16 bytes in base64.
constexpr std::size_t kReadMax = 256 << 10;
constexpr std::size_t kWriteMax = 64 << 10;  // That has the write timeout.
constexpr std::size_t kReasonMax = 123;      // Bytes of a close frame.
// A message may take the body timeout for each of these.
constexpr std::size_t kTimedBytes = 1 << 20;

Head head_of(const Request& request) {
  Head head{beast::http::string_to_verb(request.method), request.path, 11};
  for (const Header& header : request.headers) head.insert(header.name, header.value);
  return head;
}

Error invalid(std::string why) { return {Errc::invalid_request, std::move(why), "", std::nullopt}; }

Error gone() { return {Errc::cancelled, "the client went away", "", std::nullopt}; }

}  // namespace

struct SessionSocket::Stream {
  explicit Stream(const Request& request) : asked(request), head(head_of(request)) {}

  const Request asked;
  const Head head;
  std::optional<websocket::stream<net::ip::tcp::socket>> socket;
  beast::flat_buffer arriving;
};

struct SessionSocket::OnRead {
  SessionSocket* socket;
  void operator()(boost::system::error_code error, std::size_t) const { socket->on_read(error); }
};

bool SessionSocket::wanted_by(const Request& request) {
  if (request.header("upgrade").empty()) return false;
  return websocket::is_upgrade(head_of(request));
}

SessionSocket::SessionSocket(Connection& connection, const Request& request, ServerContext& context)
    : connection_(connection),
      context_(context),
      stream_(std::make_unique<Stream>(request)),
      wake_(connection.executor()) {}

SessionSocket::~SessionSocket() = default;

Async<void> SessionSocket::accept() {
  const Head& head = stream_->head;
  if (head[beast::http::field::sec_websocket_key].size() != kKeySize)
    co_return invalid("the handshake needs a Sec-WebSocket-Key of 16 bytes in base64");
  if (head[beast::http::field::sec_websocket_version] != "13")
    co_return invalid("Sec-WebSocket-Version must be 13");
  if (!connection_.unread().empty())
    co_return invalid("wait for the handshake's answer before the first message");
  accepted_ = true;
  prepare();
  const auto [error] =
      co_await stream_->socket->async_accept(head, net::as_tuple(net::use_awaitable));
  if (error) lose();
  if (lost_) co_return gone();
  arm_read();
  co_return Result<void>();
}

void SessionSocket::prepare() {
  const auto& limits = context_.options.limits;
  auto& socket = stream_->socket.emplace(connection_.release());
  websocket::stream_base::timeout timeout{};
  timeout.handshake_timeout = kHandshakeMax;
  timeout.idle_timeout = limits.idle_timeout;
  timeout.keep_alive_pings = true;
  socket.set_option(timeout);
  socket.set_option(
      websocket::stream_base::decorator([id = stream_->asked.id](websocket::response_type& reply) {
        reply.set("x-request-id", id);
        reply.erase(beast::http::field::server);
      }));
  socket.read_message_max(static_cast<std::size_t>(limits.body_bytes_max));
  socket.text(true);
}

Async<std::string> SessionSocket::receive(Deadline until) {
  while (messages_.empty()) {
    if (lost_) co_return gone();
    if (context_.draining.load(std::memory_order_relaxed)) {
      close_with(CloseCode::going_away, "the gateway is shutting down");
      co_return Error{Errc::overloaded, why_, "", std::nullopt};
    }
    if (SteadyClock::now() >= until)
      co_return Error{Errc::deadline_exceeded, "the connection is too old", "", std::nullopt};
    if (idle_until_ == Deadline::max())
      idle_until_ = SteadyClock::now() + context_.options.limits.idle_timeout;
    wake_.expires_at(until);
    co_await wake_.async_wait(net::as_tuple(net::use_awaitable));
  }
  idle_until_ = Deadline::max();
  std::string message = std::move(messages_.front());
  messages_.pop_front();
  waiting_bytes_ -= message.size();
  if (waiting_bytes_ + stream_->arriving.size() <= kSmallBody) {
    leaves_.clear();
    allowed_ = kSmallBody;
  }
  co_return message;
}

Async<void> SessionSocket::send(std::string text) {
  std::size_t sent = 0;
  do {
    if (lost_) co_return gone();
    const auto piece = net::buffer(text.data() + sent, std::min(text.size() - sent, kWriteMax));
    sent += piece.size();
    taken_by_ = SteadyClock::now() + context_.options.limits.write_timeout;
    const auto [error, written] = co_await stream_->socket->async_write_some(
        sent == text.size(), piece, net::as_tuple(net::use_awaitable));
    taken_by_ = Deadline::max();
    if (error) lose();
  } while (sent < text.size());
  if (lost_) co_return gone();
  co_return Result<void>();
}

Deadline SessionSocket::idle_until() const {
  const bool arrives = whole_by_ != Deadline::max() || !messages_.empty();
  return arrives || lost_ ? Deadline::max() : idle_until_;
}

void SessionSocket::close_with(CloseCode code, std::string why) {
  code_ = code;
  why_ = std::move(why);
}

void SessionSocket::arm_read() {
  reading_ = true;
  stream_->socket->async_read_some(stream_->arriving, kReadMax, OnRead{this});
}

void SessionSocket::on_read(boost::system::error_code error) {
  reading_ = false;
  if (error) {
    lose();
  } else if (!lost_ && may_hold_more() && stream_->socket->is_message_done()) {
    take_message();
  }
  if (!lost_) arm_read();
  wake_.cancel();
}

// Leave is asked for step by step, as nobody says how long a message will be. It is also the time
// that one may take to arrive.
bool SessionSocket::may_hold_more() {
  const auto arrived = stream_->arriving.size();
  if (whole_by_ == Deadline::max()) begun_ = SteadyClock::now();
  const auto units = static_cast<std::int64_t>(1 + arrived / kTimedBytes);
  whole_by_ = begun_ + context_.options.limits.body_timeout * units;
  const auto held = waiting_bytes_ + arrived;
  if (held <= allowed_ || !context_.options.admit_body) return true;
  const auto more = std::max(held, 2 * allowed_) - allowed_;
  auto leave = context_.options.admit_body(stream_->asked, more);
  if (!leave) {
    context_.counters.count(Reject::unwelcome);
    refuse(CloseCode::try_again_later, leave.error().message);
    return false;
  }
  leaves_.push_back(std::move(*leave));
  allowed_ += more;
  return true;
}

void SessionSocket::expire_if_due(TimePoint now) {
  if (now >= taken_by_) return reset();
  if (lost_ || now < whole_by_) return;
  context_.counters.count(Reject::timeout);
  refuse(CloseCode::policy, "the message did not arrive in time");
  wake_.cancel();
}

void SessionSocket::refuse(CloseCode code, std::string why) {
  close_with(code, why.substr(0, kReasonMax));
  lose();
}

void SessionSocket::take_message() {
  std::string message = beast::buffers_to_string(stream_->arriving.data());
  stream_->arriving.consume(message.size());
  if (message.size() > kSmallBody) stream_->arriving.shrink_to_fit();
  whole_by_ = Deadline::max();
  waiting_bytes_ += message.size();
  messages_.push_back(std::move(message));
  const auto bytes_max = static_cast<std::size_t>(context_.options.limits.body_bytes_max);
  if (stream_->socket->got_binary()) {
    refuse(CloseCode::not_text, "send text");
  } else if (messages_.size() > kMessagesWaitingMax || waiting_bytes_ > bytes_max) {
    refuse(CloseCode::policy, "too many messages wait: send the next after the answer");
  }
}

void SessionSocket::lose() {
  if (std::exchange(lost_, true)) return;
  messages_.clear();
  leaves_.clear();
  connection_.cancellation().emit(net::cancellation_type::terminal);
}

// The kernel would otherwise keep what the client does not read.
void SessionSocket::reset() {
  taken_by_ = Deadline::max();
  context_.counters.slow_clients.fetch_add(1, std::memory_order_relaxed);
  boost::system::error_code ignored;
  beast::get_lowest_layer(*stream_->socket).set_option(net::socket_base::linger(true, 0), ignored);
  abort();
}

void SessionSocket::drain() { wake_.cancel(); }

void SessionSocket::abort() {
  if (!stream_->socket) return;
  boost::system::error_code ignored;
  beast::get_lowest_layer(*stream_->socket).close(ignored);
  lose();
  wake_.cancel();
}

net::awaitable<void> SessionSocket::finish() {
  if (!stream_->socket) co_return;
  lost_ = true;
  auto& socket = *stream_->socket;
  if (socket.is_open()) {
    const websocket::close_reason reason(static_cast<websocket::close_code>(code_), why_);
    co_await socket.async_close(reason, net::as_tuple(net::use_awaitable));
  }
  boost::system::error_code ignored;
  beast::get_lowest_layer(socket).close(ignored);
  while (reading_) {
    wake_.expires_at(Deadline::max());
    co_await wake_.async_wait(net::as_tuple(net::use_awaitable));
  }
}

}  // namespace spillway::http
