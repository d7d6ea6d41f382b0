// A request's body piece by piece, for those that are too large to be held in memory.
//
// Belongs to the session; valid while the handler runs and only on its thread; one call at a time.
// What the handler leaves unread costs the client its connection, behind the answer. A client that
// was promised "100 Continue" hears it at the first call, so an answer given before spares it the
// body.
#pragma once

#include "backends/contract/backend.h"

#include <string>

namespace spillway::http {

class BodyReader {
 public:
  virtual ~BodyReader() = default;

  // The next piece, a few KiB to a few hundred; empty once the body is whole. Fails with
  // payload_too_large (a chunked body past the route's limit), invalid_request (bad chunks),
  // request_timeout, or cancelled when the client has left; nothing follows a failure.
  virtual Async<std::string> next() = 0;
};

}  // namespace spillway::http
