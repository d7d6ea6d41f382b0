#include "tests/unit/raw_provider.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace spillway::test {

namespace {

constexpr int kPatienceMs = static_cast<int>(std::chrono::milliseconds(kPatience).count());

bool readable(int socket) {
  pollfd wanted{socket, POLLIN, 0};
  return poll(&wanted, 1, kPatienceMs) == 1;
}

}  // namespace

bool Exchange::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wanted{socket_, POLLOUT, 0};
    if (poll(&wanted, 1, kPatienceMs) != 1) return false;
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Exchange::wait_for_close() {
  char byte = 0;
  return readable(socket_) && recv(socket_, &byte, 1, MSG_PEEK) <= 0;
}

RawProvider::RawProvider(std::function<void(Exchange&)> answer)
    : answer_(std::move(answer)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, plain, size) != 0 || listen(listener_, 512) != 0 ||
      getsockname(listener_, plain, &size) != 0) {
    throw std::runtime_error("the raw provider cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

RawProvider::~RawProvider() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) close(socket);
  close(listener_);
}

std::string RawProvider::base_url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/v1";
}

void RawProvider::accept_all() {
  while (true) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    ++connections_;
    std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void RawProvider::serve(int socket) {
  std::string buffer;
  std::string head;
  std::string body;
  while (read_request(socket, buffer, head, body)) {
    ++requests_;
    Exchange exchange(socket, head, body);
    answer_(exchange);
    if (exchange.hung_up()) break;
  }
  shutdown(socket, SHUT_RDWR);
}

bool RawProvider::read_request(int socket, std::string& buffer, std::string& head,
                               std::string& body) {
  char bytes[16 << 10];
  while (true) {
    const std::size_t end = buffer.find("\r\n\r\n");
    if (end != buffer.npos) {
      head = buffer.substr(0, end + 4);
      const std::size_t field = head.find("Content-Length: ");
      const std::size_t length =
          field == head.npos ? 0 : std::strtoul(head.c_str() + field + 16, nullptr, 10);
      if (buffer.size() >= head.size() + length) {
        body = buffer.substr(head.size(), length);
        buffer.erase(0, head.size() + length);
        return true;
      }
    }
    const ssize_t got = recv(socket, bytes, sizeof bytes, 0);
    if (got <= 0) {
      ++closed_by_peer_;
      return false;
    }
    buffer.append(bytes, static_cast<std::size_t>(got));
  }
}

bool eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace spillway::test
