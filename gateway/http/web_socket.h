// A conversation in text messages, where a client asks to leave HTTP for it (RFC 6455).
//
// Belongs to the session; valid while the handler runs and only on its thread; one call at a time.
// Pings are answered, and a silent client is asked for a sign of life, without the handler. When
// the client leaves, the handler is cancelled as in any other request (server.h). When the handler
// returns, the connection is closed.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/deadline.h"

#include <string>

namespace spillway::http {

// RFC 6455 7.4.1
enum class CloseCode {
  normal = 1000,
  going_away = 1001,
  not_text = 1003,
  policy = 1008,
  try_again_later = 1013
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;

  // Answers 101; until then the request may be refused like any other. Fails with invalid_request,
  // and nothing is sent, if the handshake is not one.
  virtual Async<void> accept() = 0;

  // The next message, at most as large as a request's body. Fails with deadline_exceeded at
  // `until`, with overloaded when the gateway shuts down, and with cancelled when the client has
  // left, sends what is no text, or too slowly, or more at once than is kept for it.
  virtual Async<std::string> receive(Deadline until) = 0;

  // Waits until the client takes it. Fails with cancelled.
  virtual Async<void> send(std::string text) = 0;

  // What the client is told when the handler has returned; normal unless said otherwise. `why` has
  // at most 123 bytes.
  virtual void close_with(CloseCode code, std::string why) = 0;
};

}  // namespace spillway::http
