// A raw socket that speaks HTTP as badly as a test wants, and a server to speak it to.
//
// Every wait has a limit of ten seconds, after which the test fails instead of hanging.
#pragma once

#include "gateway/http/server.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace spillway::http::testing {

struct Response {
  int status = 0;       // 0: the connection ended first.
  std::string head;     // Lower-cased, with the empty line.
  std::string body;     // Chunks joined.
  std::string framing;  // As it came, for chunked answers.
  bool cut = false;     // The connection ended within the body.

  std::string header(std::string_view lower_case_name) const;
};

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer_bytes = 0);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void send(std::string_view bytes);  // All of them, unless the server has closed.
  Response read(bool head_only = false);
  std::string read_raw();  // What comes next, once something does; "" at the end.
  bool closed();           // Waits for the server's FIN, dropping what it sends; false if reset.
  void finish_sending();   // FIN
  void reset();            // RST

 private:
  bool fill();

  int socket_;
  bool connected_;
  std::string buffer_;
};

std::string get(std::string_view path, std::string_view headers = "");
std::string post(std::string_view path, std::string_view body, std::string_view headers = "");

// Waits until `condition` holds; false after ten seconds.
bool eventually(const std::function<bool()>& condition);

ErrorReply plain_error(const Error& error, const RefusedRequest& refused);

ServerOptions options_for_test();

}  // namespace spillway::http::testing
