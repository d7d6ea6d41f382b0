// The BodyReader of one request: takes from the connection what the reader makes of it.
//
// Lives in the session's frame while the handler runs, on the connection's thread.
#pragma once

#include "gateway/http/body_reader.h"
#include "gateway/http/connection.h"
#include "gateway/http/request_reader.h"
#include "gateway/http/server_context.h"

#include <cstdint>
#include <string>

namespace spillway::http {

class SessionBody final : public BodyReader {
 public:
  // All must outlive it; `reader` has just given the head.
  SessionBody(Connection& connection, RequestReader& reader, ServerContext& context)
      : connection_(connection), reader_(reader), context_(context) {}

  Async<std::string> next() override;

  // Something of it is still to come.
  bool pending() const { return reader_.in_body(); }

 private:
  Deadline deadline() const;
  Async<void> go_on();
  Error rejected(Reject reason, Error error);

  Connection& connection_;
  RequestReader& reader_;
  ServerContext& context_;
  const TimePoint begun_ = SteadyClock::now();
  std::uint64_t received_ = 0;  // Bytes.
  bool asked_ = false;
  bool failed_ = false;
};

}  // namespace spillway::http
