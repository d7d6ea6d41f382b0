#include "tests/unit/http_client.h"

#include <array>
#include <cctype>
#include <charconv>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace spillway::http::testing {
namespace {

constexpr int kLimitMilliseconds = 10'000;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::string Response::header(std::string_view name) const {
  const std::string start = "\r\n" + std::string(name) + ": ";
  const auto at = head.find(start);
  if (at == std::string::npos) return "";
  const auto value = at + start.size();
  return head.substr(value, head.find("\r\n", value) - value);
}

Client::Client(std::uint16_t port, int receive_buffer_bytes)
    : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer_bytes > 0) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(int));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ =
      ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

Client::~Client() { ::close(socket_); }

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool Client::fill() {
  pollfd ready{socket_, POLLIN, 0};
  if (::poll(&ready, 1, kLimitMilliseconds) != 1) return false;
  std::array<char, 64 << 10> bytes;
  const auto got = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (got <= 0) return false;
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

Response Client::read(bool head_only) {
  Response response;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return response;
  }
  response.head = lower(buffer_.substr(0, end + 4));
  buffer_.erase(0, end + 4);
  response.status = std::stoi(response.head.substr(9, 3));
  if (head_only) return response;
  if (response.header("transfer-encoding") == "chunked") {
    while (true) {
      std::size_t line = 0;
      while ((line = buffer_.find("\r\n")) == std::string::npos) {
        response.cut = !fill();
        if (response.cut) return response;
      }
      const std::size_t size = std::stoul(buffer_.substr(0, line), nullptr, 16);
      while (buffer_.size() < line + 2 + size + 2) {
        response.cut = !fill();
        if (response.cut) return response;
      }
      response.framing += buffer_.substr(0, line + 2 + size + 2);
      response.body += buffer_.substr(line + 2, size);
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) return response;
    }
  }
  const std::string length = response.header("content-length");
  const bool to_end = length.empty() && response.status != 204;
  const std::size_t size = length.empty() ? 0 : std::stoul(length);
  while (to_end ? fill() : buffer_.size() < size) {
    if (to_end) continue;
    response.cut = !fill();
    if (response.cut) break;
  }
  response.body = buffer_.substr(0, to_end ? buffer_.size() : size);
  buffer_.erase(0, response.body.size());
  return response;
}

std::string Client::read_raw() {
  if (buffer_.empty()) fill();
  return std::exchange(buffer_, std::string());
}

bool Client::closed() {
  pollfd ready{socket_, POLLIN, 0};
  std::array<char, 64 << 10> bytes;
  while (::poll(&ready, 1, kLimitMilliseconds) == 1) {
    const auto got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got <= 0) return got == 0;
  }
  return false;
}

void Client::finish_sending() { ::shutdown(socket_, SHUT_WR); }

void Client::reset() {
  const linger hard{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  ::close(socket_);
  socket_ = -1;
}

std::string get(std::string_view path, std::string_view headers) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view headers) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

bool eventually(const std::function<bool()>& condition) {
  const auto limit = SteadyClock::now() + std::chrono::milliseconds(kLimitMilliseconds);
  while (SteadyClock::now() < limit) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return false;
}

ErrorReply plain_error(const Error& error, const RefusedRequest& refused) {
  ErrorReply reply;
  switch (error.code) {
    case Errc::not_found: reply.status = 404; break;
    case Errc::method_not_allowed: reply.status = 405; break;
    case Errc::request_timeout: reply.status = 408; break;
    case Errc::payload_too_large: reply.status = 413; break;
    case Errc::headers_too_large: reply.status = 431; break;
    case Errc::overloaded: reply.status = 503; break;
    case Errc::internal: reply.status = 500; break;
    default: reply.status = 400; break;
  }
  reply.body = "{\"error\":\"" + error.message + "\"}";
  reply.headers.emplace_back("refused-path", refused.path);
  reply.headers.emplace_back("refused-spoken", refused.spoken);
  return reply;
}

ServerOptions options_for_test() {
  ServerOptions options;
  options.listen.host = "127.0.0.1";
  options.workers = 2;
  return options;
}

}  // namespace spillway::http::testing
