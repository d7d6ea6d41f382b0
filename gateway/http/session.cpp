#include "gateway/http/session.h"

#include "gateway/http/gzip.h"
#include "gateway/http/request_id.h"
#include "gateway/http/session_socket.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;

namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
// For a refused client to read our answer before the connection goes.
constexpr std::chrono::seconds kLinger{2};

void count_one(Counters::Count& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

Session::Session(ServerContext& context, const std::string& date, net::ip::tcp::socket socket,
                 std::string peer)
    : context_(context),
      date_(date),
      peer_(std::move(peer)),
      connection_(std::move(socket), context.options.limits),
      reader_(context.options.limits, context.options.streamed_body_max, context.options.admit_body,
              context.options.spoken_header) {}

net::awaitable<void> Session::run() {
  co_await net::this_coro::throw_if_cancelled(false);
  bool again = true;
  while (again) again = co_await serve_one();
  co_await connection_.close();
}

net::awaitable<bool> Session::serve_one() {
  const Received received = co_await receive();
  if (received == Received::nothing) co_return false;
  if (received == Received::rejected) {
    co_await refuse(refusal_);
    co_return false;
  }
  Request request = reader_.take();
  request.id = next_request_id();
  request.peer = peer_;
  request.arrived = SteadyClock::now();
  request.arrived_at = unix_seconds();
  co_return co_await answer(std::move(request));
}

net::awaitable<Session::Received> Session::receive() {
  deadline_ = SteadyClock::now() + context_.options.limits.idle_timeout;
  bool begun = false;
  while (true) {
    std::size_t taken = 0;
    const auto step = reader_.feed(connection_.unread(), taken);
    connection_.consume(taken);
    if (step == RequestReader::Step::complete) co_return Received::request;
    if (step == RequestReader::Step::rejected) {
      reject(reader_.rejection().reason, reader_.rejection().error);
      co_return Received::rejected;
    }
    if (step == RequestReader::Step::head && reader_.streams()) co_return Received::request;
    if (step == RequestReader::Step::head) {
      deadline_ = SteadyClock::now() + context_.options.limits.body_timeout;
      begun = true;
      const bool asks = reader_.expects_continue() && connection_.unread().empty();
      const Connection::Pieces go_on = {net::buffer(kContinue.data(), kContinue.size())};
      if (asks) co_await connection_.write(go_on);
      continue;
    }
    if (!begun && reader_.in_request()) {
      deadline_ = SteadyClock::now() + context_.options.limits.header_timeout;
      begun = true;
    }
    const bool arrived = co_await wait_for_more(begun);
    if (!arrived) co_return refusal_.message.empty() ? Received::nothing : Received::rejected;
  }
}

// False if nothing more will come; refusal_ has a message if the client should be told.
net::awaitable<bool> Session::wait_for_more(bool begun) {
  if (!begun && context_.draining.load(std::memory_order_relaxed)) co_return false;
  idle_ = !begun;
  const auto arrival = co_await connection_.wait_for_bytes(deadline_);
  idle_ = false;
  if (arrival == Connection::Arrival::bytes) co_return true;
  if (arrival == Connection::Arrival::timed_out && begun) {
    const std::string_view part = reader_.in_body() ? "body" : "headers";
    std::string why = "the request's " + std::string(part) + " did not arrive in time";
    reject(Reject::timeout, Error{Errc::request_timeout, std::move(why), "", std::nullopt});
  }
  co_return false;
}

net::awaitable<bool> Session::answer(Request request) {
  const bool draining = context_.draining.load(std::memory_order_relaxed);
  AnswerRules rules;
  rules.head_only = request.method == "HEAD";
  rules.http_1_0 = reader_.http_1_0();
  rules.keep_alive = reader_.keep_alive();
  rules.gzip = takes_gzip(request.header("accept-encoding"));
  const std::string id = request.id;
  SessionBody body(connection_, reader_, context_);
  if (reader_.streams()) request.incoming = &body;
  SessionWriter out(connection_, rules, id, date_, context_.draining, &body);
  if (draining) {
    count_one(context_.counters.drained);
    Error error{Errc::overloaded, "the gateway is shutting down", "", std::chrono::seconds(1)};
    co_await send_error(std::move(error), out);
    co_return false;
  }
  std::optional<SessionSocket> socket;
  if (SessionSocket::wanted_by(request)) {
    request.web_socket = talking_ = &socket.emplace(connection_, request, context_);
  }
  answering_ = &out;
  co_await handle_or_excuse(std::move(request), out);
  answering_ = nullptr;
  count_loss();
  if (socket && socket->accepted()) {
    co_await socket->finish();
    talking_ = nullptr;
    co_return false;
  }
  talking_ = nullptr;
  const bool good = connection_.health() == Connection::Health::good;
  if (good && out.finished() && body.pending())
    co_await connection_.linger(SteadyClock::now() + kLinger);
  co_return good&& out.finished() && out.keep_alive();
}

net::awaitable<void> Session::handle_or_excuse(Request request, SessionWriter& out) {
  // A body that is still to come shows by itself whether its client is there, and so does a
  // WebSocket.
  connection_.watch(!reader_.in_body() && talking_ == nullptr);
  const bool whole = co_await handle(std::move(request), out);
  if (!whole && connection_.health() == Connection::Health::good && !out.head_sent()) {
    Error error{Errc::internal, "the gateway failed to answer", "", std::nullopt};
    co_await send_error(std::move(error), out);
  }
  connection_.watch(false);
}

// True if the handler gave a whole answer.
net::awaitable<bool> Session::handle(Request request, SessionWriter& out) {
  if (connection_.health() != Connection::Health::good) co_return false;
  Counters& counters = context_.counters;
  count_one(counters.requests);
  counters.in_flight.fetch_add(1, std::memory_order_relaxed);
  try {
    auto answering = context_.handler(std::move(request), out);
    co_await std::move(answering);
  } catch (const std::exception&) {
    count_one(counters.handler_faults);
  }
  counters.in_flight.fetch_sub(1, std::memory_order_relaxed);
  co_return out.finished() || (talking_ != nullptr && talking_->accepted());
}

net::awaitable<void> Session::refuse(Error error) {
  AnswerRules rules;
  rules.keep_alive = false;
  const std::string id = next_request_id();
  SessionWriter out(connection_, rules, id, date_, context_.draining, nullptr);
  co_await send_error(std::move(error), out);
  co_await connection_.linger(SteadyClock::now() + kLinger);
}

net::awaitable<void> Session::send_error(Error error, SessionWriter& out) {
  const RefusedRequest refused{reader_.path(), reader_.spoken(), out.request_id()};
  ErrorReply reply = context_.format_error(error, refused);
  for (const auto& [name, value] : reply.headers) out.set_header(name, value);
  co_await out.send(reply.status, std::move(reply.content_type), std::move(reply.body));
}

void Session::expire_message_if_due(TimePoint now) {
  if (talking_ != nullptr) talking_->expire_if_due(now);
}

void Session::reject(Reject reason, Error error) {
  context_.counters.count(reason);
  refusal_ = std::move(error);
}

void Session::count_loss() {
  if (connection_.health() == Connection::Health::client_gone) {
    count_one(context_.counters.client_gone);
  }
  if (connection_.health() == Connection::Health::slow_client) {
    count_one(context_.counters.slow_clients);
  }
}

Deadline Session::idle_until() const {
  if (talking_ != nullptr && talking_->accepted()) return talking_->idle_until();
  const bool waits = idle_ && connection_.unread().empty();
  return waits && connection_.health() == Connection::Health::good ? deadline_ : Deadline::max();
}

void Session::drain() {
  if (talking_ != nullptr) return talking_->drain();
  if (idle_until() != Deadline::max()) connection_.abort();
}

void Session::abort() {
  connection_.abort();
  if (talking_ != nullptr) talking_->abort();
}

}  // namespace spillway::http
