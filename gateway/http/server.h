// One listener and its worker threads: HTTP/1.1 in, a Handler for each request, answers out.
//
// W workers, each a thread with its own io_context; a connection lives on one worker for life, and
// so do its handlers
// (`co_await boost::asio::this_coro::executor` is the worker's). One acceptor gives each connection
// to the worker with the fewest. All methods are for the owner's thread (not a worker). The admin
// listener is a second Server.
//
// Cancel: when the client hangs up (FIN or RST) while its handler runs, the handler's coroutine
// receives a terminal cancellation at once. It is never destroyed while it runs: it calls
// `throw_if_cancelled(false)`, sees Errc::cancelled from what it awaited, does its accounting and
// returns.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/http/counters.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::http {

// Answers one request. A plain function object that returns an awaitable: no coroutine lambda with
// captures. It is called on any worker, concurrently; what it throws is answered with 500.
using Handler = std::function<boost::asio::awaitable<void>(Request, ResponseWriter&)>;

struct ErrorReply {
  int status = 500;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
};

// A request that is refused, as far as it is known.
struct RefusedRequest {
  std::string_view path;    // Empty if its head could not be read,
  std::string_view spoken;  // …and so is what its header `spoken_header` says (ServerOptions).
  std::string_view id;      // Empty if it never got one.
};

// Writes refusals in the language of the API served, so that this room need not know it. Called on
// any worker.
using ErrorFormatter = std::function<ErrorReply(const Error&, const RefusedRequest&)>;

// Larger bodies need leave.
constexpr std::uint64_t kSmallBody = 64 << 10;

struct ServerOptions {
  config::Endpoint listen;
  int workers = 1;
  config::ServerLimits limits;
  std::string name = "http";  // Names the threads: "http-0", "http-1"…
  // Which requests take their body piece by piece (Request::incoming), and at most how many bytes;
  // nothing: all are held. Called on any worker with a request's head.
  std::function<std::optional<std::uint64_t>(const Request& head)> streamed_body_max = {};
  // Leave to send a large body, of at most so many bytes, with this head: kept until it is read or
  // the connection gone. An error turns the request away unread. Messages on a WebSocket need it,
  // too, with the handshake's head, piece by piece as they come. Called on any worker.
  std::function<Result<std::shared_ptr<const void>>(const Request& head, std::uint64_t bytes)>
      admit_body = {};
  // The header, in lower case, that tells the ErrorFormatter whose words a client understands,
  // where the path does not; empty: none.
  std::string spoken_header = {};
};

class Server {
 public:
  Server(ServerOptions options, Handler handler, ErrorFormatter format_error);
  ~Server();  // stop()s.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts the workers. The error says what to change: address in use, no permission,
  // unknown host.
  Result<void> start();

  // The port in use; what the system chose where 0 was asked. Requires: started.
  std::uint16_t port() const;

  // Closes the listening socket; open connections go on.
  void stop_accepting();

  // Running requests go on; idle connections are closed; new requests on open connections get 503
  // and `Connection: close`. Implies stop_accepting().
  void begin_drain();

  // Blocks until no connection is open, or until the deadline. True if idle.
  bool wait_idle(Deadline deadline);

  // Cancels the requests still running, waits for their handlers at most `grace`, and joins the
  // workers. Idempotent.
  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(5'000));

  const Counters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway::http
