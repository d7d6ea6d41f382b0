#include "gateway/http/worker.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <exception>
#include <pthread.h>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;
using boost::asio::ip::tcp;

namespace {

// Fine enough that a timeout is at most a quarter late.
std::chrono::milliseconds sweep_interval(const config::ServerLimits& limits) {
  const auto shortest = std::min(
      {limits.header_timeout, limits.body_timeout, limits.idle_timeout, limits.write_timeout});
  return std::clamp<std::chrono::milliseconds>(shortest / 4, std::chrono::milliseconds(10),
                                               std::chrono::milliseconds(250));
}

}  // namespace

// What ends a session's coroutine: it owns the session, whose cancellation signal must outlive the
// coroutine.
struct Worker::Finished {
  Worker* worker;
  std::unique_ptr<Session> session;

  void operator()(std::exception_ptr) {
    worker->end_session(session.get());
    session.reset();
  }
};

Worker::Worker(ServerContext& context, std::string thread_name)
    : context_(context),
      thread_name_(std::move(thread_name)),
      io_(1),
      work_(net::make_work_guard(io_)),
      sweep_timer_(io_) {
  refresh_date();
}

Worker::~Worker() { stop(); }

void Worker::start() {
  net::co_spawn(io_, sweep(), net::detached);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), thread_name_.c_str());
    io_.run();
  });
}

void Worker::stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

void Worker::adopt(tcp::socket socket, std::string peer, bool full) {
  connections_.fetch_add(1, std::memory_order_relaxed);
  context_.counters.open_connections.fetch_add(1, std::memory_order_relaxed);
  net::post(io_, [this, socket = std::move(socket), peer = std::move(peer), full]() mutable {
    if (!full || make_room()) return begin_session(std::move(socket), std::move(peer));
    refuse(std::move(socket));
    count_out();
  });
}

void Worker::begin_session(tcp::socket socket, std::string peer) {
  auto session = std::make_unique<Session>(context_, date_, std::move(socket), std::move(peer));
  Session& begun = *session;
  sessions_.insert(&begun);
  net::co_spawn(
      io_, begun.run(),
      net::bind_cancellation_slot(begun.cancellation_slot(), Finished{this, std::move(session)}));
}

void Worker::end_session(Session* session) {
  sessions_.erase(session);
  count_out();
}

void Worker::count_out() {
  connections_.fetch_sub(1, std::memory_order_relaxed);
  if (context_.counters.open_connections.fetch_sub(1) > 1) return;
  const std::lock_guard lock(context_.idle_mutex);
  context_.idle.notify_all();
}

// Ends the connection that has been idle the longest; false if all are at work.
bool Worker::make_room() {
  const auto sooner = [](const Session* a, const Session* b) {
    return a->idle_until() < b->idle_until();
  };
  const auto longest = std::min_element(sessions_.begin(), sessions_.end(), sooner);
  if (longest == sessions_.end() || (*longest)->idle_until() == Deadline::max()) return false;
  context_.counters.idle_closed.fetch_add(1, std::memory_order_relaxed);
  (*longest)->abort();
  return true;
}

// A last word without waiting for anything: there is no room for a session.
void Worker::refuse(tcp::socket socket) {
  context_.counters.connections_refused.fetch_add(1, std::memory_order_relaxed);
  const Error error{Errc::overloaded, "too many connections are open", "", std::chrono::seconds(1)};
  const ErrorReply reply = context_.format_error(error, {});
  std::string answer = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: " +
                       reply.content_type + "\r\n";
  for (const auto& [name, value] : reply.headers) answer.append(name + ": " + value + "\r\n");
  answer += "content-length: " + std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body;
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(net::buffer(answer), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  // Unread bytes at close would reset the connection and take the answer with it.
  std::array<char, 16 << 10> unread;
  socket.read_some(net::buffer(unread), ignored);
}

void Worker::drain() {
  net::post(io_, [this] {
    for (Session* session : sessions_) session->drain();
  });
}

void Worker::abort_sessions() {
  net::post(io_, [this] {
    for (Session* session : sessions_) session->abort();
  });
}

net::awaitable<void> Worker::sweep() {
  const auto interval = sweep_interval(context_.options.limits);
  while (true) {
    sweep_timer_.expires_after(interval);
    co_await sweep_timer_.async_wait(net::as_tuple(net::use_awaitable));
    const TimePoint now = SteadyClock::now();
    for (Session* session : sessions_) session->expire_if_due(now);
    refresh_date();
  }
}

void Worker::refresh_date() {
  const std::time_t now = std::time(nullptr);
  if (now == date_second_) return;
  date_second_ = now;
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  date_.assign(text.data(), size);
}

}  // namespace spillway::http
