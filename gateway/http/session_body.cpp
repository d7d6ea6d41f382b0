#include "gateway/http/session_body.h"

#include <string_view>
#include <utility>

namespace spillway::http {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
// A body may take the body timeout for each of these: what dribbles is ended, whatever its size.
constexpr std::uint64_t kTimedBytes = 1 << 20;
// Taken in one piece, where so much has arrived already.
constexpr std::size_t kPieceMax = 256 << 10;

}  // namespace

Async<std::string> SessionBody::next() {
  if (!std::exchange(asked_, true)) {
    const auto told = co_await go_on();
    if (!told) co_return told.error();
  }
  std::string piece;
  while (!failed_ && reader_.in_body() && piece.size() < kPieceMax) {
    std::size_t taken = 0;
    const auto step = reader_.feed(connection_.unread(), taken);
    connection_.consume(taken);
    if (step == RequestReader::Step::rejected)
      co_return rejected(reader_.rejection().reason, reader_.rejection().error);
    piece += reader_.take_piece();
    if (step == RequestReader::Step::complete || !piece.empty()) break;
    const auto arrival = co_await connection_.wait_for_bytes(deadline());
    if (arrival == Connection::Arrival::closed) {
      failed_ = true;
      connection_.leave();
      co_return Error{Errc::cancelled, "the client went away", "", std::nullopt};
    }
    if (arrival == Connection::Arrival::timed_out) {
      Error error{Errc::request_timeout, "the request's body did not arrive in time", "",
                  std::nullopt};
      co_return rejected(Reject::timeout, std::move(error));
    }
  }
  received_ += piece.size();
  if (!failed_ && !reader_.in_body()) connection_.watch(true);
  co_return piece;
}

// What a client waits for that asked before it sends.
Async<void> SessionBody::go_on() {
  const bool waits = reader_.in_body() && reader_.expects_continue();
  if (!waits || !connection_.unread().empty()) co_return Result<void>();
  const Connection::Pieces pieces = {boost::asio::const_buffer(kContinue.data(), kContinue.size())};
  co_return co_await connection_.write(pieces);
}

Deadline SessionBody::deadline() const {
  const auto units = static_cast<std::int64_t>(1 + received_ / kTimedBytes);
  return begun_ + context_.options.limits.body_timeout * units;
}

Error SessionBody::rejected(Reject reason, Error error) {
  failed_ = true;
  context_.counters.count(reason);
  return error;
}

}  // namespace spillway::http
