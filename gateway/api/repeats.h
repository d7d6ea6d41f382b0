// Idempotency keys: a POST that brings an `idempotency-key` is done once. Who sends it again gets
// the first answer once more, byte for byte, and pays nothing; while the first is under way it is
// told to come back.
//
// Stands between the listener and the routes, on any worker. Only whole answers that went well are
// kept (replay/first_answers.h): what failed may be tried again under the same key, and so may what
// ended because its client left. A body that comes piece by piece (files) is not looked at.
//
// Without such a key, a whole answer whose connection broke before the client had it waits
// (replay/lost_answers.h) for the client's next try of the same request, which an SDK marks as one.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/http/server.h"
#include "gateway/replay/first_answers.h"
#include "gateway/replay/lost_answers.h"
#include "gateway/request/reception.h"
#include "gateway/telemetry/log.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace spillway {

class Repeats {
 public:
  // `editions` and `log` outlive it, and so does what `handler` needs.
  Repeats(const CurrentEdition& editions, const replay::Limits& limits, telemetry::Log& log,
          http::Handler handler)
      : editions_(editions), answers_(limits), lost_({}), log_(log), handler_(std::move(handler)) {}

  // The Handler for a Server. Requires: this outlives the server.
  boost::asio::awaitable<void> serve(http::Request request, http::ResponseWriter& out);

  struct Counts {
    std::uint64_t first = 0;        // Requests with a key that nobody had used.
    std::uint64_t replayed = 0;     // …that got the first answer again,
    std::uint64_t refused = 0;      // …that came too soon or were another request.
    std::uint64_t redelivered = 0;  // Further tries without one that got a lost answer.
  };
  Counts counts() const;

 private:
  boost::asio::awaitable<void> serve_once(http::Request request, const replay::Name& name,
                                          http::ResponseWriter& out);
  boost::asio::awaitable<void> serve_plain(http::Request request, const Visitor& visitor,
                                           http::ResponseWriter& out);
  void tell(const http::Request& request, const replay::Answer& answer,
            std::string_view message) const;

  const CurrentEdition& editions_;
  replay::FirstAnswers answers_;
  replay::LostAnswers lost_;
  telemetry::Log& log_;
  const http::Handler handler_;
  std::array<std::atomic<std::uint64_t>, 4> counts_{};  // By FirstAnswers::State.
  std::atomic<std::uint64_t> redelivered_{0};
};

}  // namespace spillway
