#include "gateway/http/listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;
using net::ip::tcp;

namespace {

constexpr std::chrono::milliseconds kAcceptPause{50};
// Bounds what the kernel keeps for a client that does not read; it doubles the figure.
constexpr int kSendBufferBytes = 128 << 10;

int open_reserve() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string host = endpoint.address().is_v6() ? "[" + address + "]" : address;
  return host + ":" + std::to_string(endpoint.port());
}

Error cannot_listen(const config::Endpoint& endpoint, const std::string& why) {
  return Error{
      Errc::internal,
      "cannot listen on " + endpoint.host + ":" + std::to_string(endpoint.port) + ": " + why, "",
      std::nullopt};
}

}  // namespace

Listener::Listener(ServerContext& context, std::vector<std::unique_ptr<Worker>>& workers)
    : context_(context), workers_(workers), acceptor_(workers.front()->io()) {}

Listener::~Listener() {
  if (reserve_descriptor_ >= 0) ::close(reserve_descriptor_);
}

Result<void> Listener::bind() {
  const config::Endpoint& listen = context_.options.listen;
  boost::system::error_code error;
  tcp::resolver resolver(workers_.front()->io());
  const auto found =
      resolver.resolve(listen.host, std::to_string(listen.port), tcp::resolver::passive, error);
  if (error || found.empty())
    return cannot_listen(listen, "no such address (" + error.message() + ")");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (error) return cannot_listen(listen, error.message());
  // Accepted sockets inherit these, which saves their system calls.
  acceptor_.set_option(net::socket_base::reuse_address(true), error);
  acceptor_.set_option(tcp::no_delay(true), error);
  acceptor_.set_option(net::socket_base::send_buffer_size(kSendBufferBytes), error);
  acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
  if (error == net::error::address_in_use) {
    return cannot_listen(listen,
                         "another program uses this address; stop it or choose another port");
  }
  if (error == net::error::access_denied) {
    return cannot_listen(listen, "no permission; ports below 1024 need CAP_NET_BIND_SERVICE");
  }
  if (error) return cannot_listen(listen, error.message());
  port_ = acceptor_.local_endpoint(error).port();
  reserve_descriptor_ = open_reserve();
  return {};
}

void Listener::start() { net::co_spawn(workers_.front()->io(), accept_loop(), net::detached); }

void Listener::close() {
  net::post(acceptor_.get_executor(), [this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  });
}

net::awaitable<void> Listener::accept_loop() {
  while (acceptor_.is_open()) {
    Worker& worker = least_loaded();
    tcp::endpoint peer;
    auto [error, socket] =
        co_await acceptor_.async_accept(worker.io(), peer, net::as_tuple(net::use_awaitable));
    if (!error) {
      hand_over(std::move(socket), worker, peer);
      if (reserve_descriptor_ < 0) reserve_descriptor_ = open_reserve();  // Lost in a famine.
    } else if (acceptor_.is_open()) {
      co_await pause_after(error);
    }
  }
}

net::awaitable<void> Listener::pause_after(boost::system::error_code error) {
  if (error == net::error::connection_aborted) co_return;  // That client left before we came.
  context_.counters.accept_errors.fetch_add(1, std::memory_order_relaxed);
  if (error == net::error::no_descriptors || error.value() == ENFILE) drop_one();
  net::steady_timer timer(acceptor_.get_executor(), kAcceptPause);
  co_await timer.async_wait(net::as_tuple(net::use_awaitable));
}

void Listener::hand_over(tcp::socket socket, Worker& worker, const tcp::endpoint& peer) {
  Counters& counters = context_.counters;
  counters.accepted.fetch_add(1, std::memory_order_relaxed);
  const auto open = counters.open_connections.load(std::memory_order_relaxed);
  const bool full = open >= context_.options.limits.connections_max;
  worker.adopt(std::move(socket), text_of(peer), full);
}

void Listener::drop_one() {
  if (reserve_descriptor_ >= 0) ::close(reserve_descriptor_);
  const int client = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK);
  if (client >= 0) ::close(client);
  reserve_descriptor_ = open_reserve();
}

Worker& Listener::least_loaded() const {
  const auto fewer = [](const auto& a, const auto& b) {
    return a->connections() < b->connections();
  };
  return **std::min_element(workers_.begin(), workers_.end(), fewer);
}

}  // namespace spillway::http
