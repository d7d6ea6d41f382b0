// How a handler answers: once with `send`, or piece by piece with `begin_stream` or `begin_file`,
// `write`… and `end`.
//
// Belongs to the session; valid while the handler runs and only on its thread; one call at a time.
// Each answer carries `x-request-id` and the right `connection` and framing headers by itself. When
// the client hangs up, the call in progress and all later ones return Errc::cancelled; when it does
// not take a byte for the write timeout they return Errc::slow_client. After either the connection
// is closed when the handler returns. A handler that returns without an answer makes the session
// answer 500; one that returns before its `end` makes it close the connection without the final
// chunk, which clients see as a cut stream.
#pragma once

#include "backends/contract/backend.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace spillway::http {

class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  // Adds a response header. `name` is in lower case; control characters in `value` become spaces.
  // Requires: !head_sent().
  virtual void set_header(std::string_view name, std::string_view value) = 0;

  // The whole answer. For HEAD and status 204 the body stays behind.
  virtual Async<void> send(int status, std::string content_type, std::string body) = 0;

  // Prepares 200 text/event-stream, cache-control: no-cache, chunked. The head leaves with the
  // first write.
  virtual Async<void> begin_stream() = 0;

  // Prepares 200 with a body of exactly so many bytes, which follow in pieces of any size.
  virtual Async<void> begin_file(std::string content_type, std::uint64_t bytes) = 0;

  // One or more whole events, or a piece of a file, sent in one piece; an empty string is not sent.
  virtual Async<void> write(std::string piece) = 0;

  // The last events or piece (may be empty) and the final chunk, in one write.
  virtual Async<void> end(std::string last_piece) = 0;

  // From now on an event stream that is silent for `quiet` gets a comment, which all clients skip.
  // If the answer has not begun by then it begins as a stream, with the headers set so far.
  virtual void keep_alive(std::chrono::milliseconds quiet) { (void)quiet; }

  // What comes from here on tells of a failure: such an answer is not to be given again.
  virtual void failing() {}

  // Before `send`: calls `tell`, once, on this thread and until the next request at the latest, if
  // the client is seen not to have taken the whole answer; drops it once it is seen to have. Seen
  // is what TCP tells: that of a proxy between, not whether it passed the answer on.
  virtual void if_lost(std::function<void()> tell) { (void)tell; }

  // True once an answer was begun: errors must now go into the stream.
  virtual bool head_sent() const = 0;

  // The status begun or sent; 0 before that.
  virtual int status() const = 0;
};

}  // namespace spillway::http
