#include "gateway/api/response_socket.h"

#include "gateway/http/request_id.h"
#include "gateway/http/web_socket.h"
#include "gateway/request/reception.h"
#include "gateway/request/refusal.h"
#include "gateway/responses/events.h"
#include "gateway/responses/last_turn.h"
#include "gateway/responses/turn_message.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <string>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr std::chrono::minutes kLifeMax{60};

// Takes a turn's answer as a connection would, and says it in messages.
class TurnWriter final : public http::ResponseWriter {
 public:
  explicit TurnWriter(http::WebSocket& socket) : socket_(socket) {}

  void set_header(std::string_view, std::string_view) override {}

  // Only refusals are whole: every turn is a stream.
  Async<void> send(int status, std::string, std::string body) override {
    status_ = status;
    co_return co_await socket_.send(responses::error_message(status, body));
  }

  Async<void> begin_stream() override {
    status_ = 200;
    co_return Result<void>();
  }

  Async<void> begin_file(std::string, std::uint64_t) override {
    co_return Error{Errc::internal, "a turn is no file", "", std::nullopt};
  }

  Async<void> write(std::string events) override {
    for (const std::string& event : responses::split_events(events)) {
      std::string message(responses::data_of(event));
      auto sent = co_await socket_.send(std::move(message));
      if (!sent) co_return sent;
    }
    co_return Result<void>();
  }

  Async<void> end(std::string last_events) override {
    co_return co_await write(std::move(last_events));
  }

  bool head_sent() const override { return status_ != 0; }
  int status() const override { return status_; }

 private:
  http::WebSocket& socket_;
  int status_ = 0;
};

// `raw` is the handshake, which says who it is.
Async<void> take_turn(const http::Request& raw, std::string message, const http::Handler& speak) {
  http::WebSocket& socket = *raw.web_socket;
  auto body = responses::body_of_turn(message);
  if (!body) {
    const auto reply = wire::error_reply(body.error());
    co_return co_await socket.send(responses::error_message(reply.status, reply.body));
  }
  http::Request turn = raw;
  turn.id = http::next_request_id();
  turn.method = "POST";
  turn.arrived = SteadyClock::now();
  turn.arrived_at = unix_seconds();
  turn.web_socket = nullptr;
  turn.body = std::move(*body);
  TurnWriter out(socket);
  co_await speak(std::move(turn), out);
  const auto state = co_await net::this_coro::cancellation_state;
  if (state.cancelled() != net::cancellation_type::none)
    co_return Error{Errc::cancelled, "the client went away", "", std::nullopt};
  co_return Result<void>();
}

}  // namespace

net::awaitable<void> ResponseSocket::serve(http::Request raw, http::ResponseWriter& out) const {
  co_await net::this_coro::throw_if_cancelled(false);
  const auto admitted = admit(raw);  // Its place is held as long as it is open.
  if (!admitted) {
    if (admitted.error().code == Errc::method_not_allowed) out.set_header("allow", "POST");
    co_await refuse(admitted.error(), out);
    co_return;
  }
  const auto accepted = co_await raw.web_socket->accept();
  if (!accepted) {
    co_await refuse(accepted.error(), out);
    co_return;
  }
  co_await converse(raw);
}

Result<responses::Leave> ResponseSocket::admit(const http::Request& raw) const {
  const auto visitor = visitor_of(doors_.editions, raw);
  if (!visitor) return visitor.error();
  if (raw.web_socket == nullptr) {
    return Error{Errc::method_not_allowed,
                 "GET /v1/responses is for WebSockets: POST, or ask to upgrade", "", std::nullopt};
  }
  // No preflight keeps a page that somebody has open in a browser from a WebSocket.
  if (!raw.header("origin").empty()) {
    return Error{Errc::forbidden, "pages in browsers are not served over WebSocket", "",
                 std::nullopt};
  }
  return doors_.enter(visitor->tenant, 1);
}

net::awaitable<void> ResponseSocket::converse(const http::Request& raw) const {
  http::WebSocket& socket = *raw.web_socket;
  responses::LastTurn archive(doors_.archive);
  const auto protocol = doors_.protocol.with(archive);
  const http::Handler speak = doors_.speak(protocol);
  const Deadline until = raw.arrived + kLifeMax;
  while (true) {
    auto message = co_await socket.receive(until);
    if (!message && message.error().code == Errc::deadline_exceeded)
      (void)co_await socket.send(responses::too_old_message());
    if (!message) co_return;
    const auto taken = co_await take_turn(raw, std::move(*message), speak);
    archive.over();
    if (!taken) co_return;
  }
}

}  // namespace spillway
