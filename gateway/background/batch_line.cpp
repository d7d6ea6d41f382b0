#include "gateway/background/batch_line.h"

#include "config/digest.h"
#include "gateway/wall_clock.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace spillway {
namespace {

using std::chrono::milliseconds;

constexpr int kAttemptsMax = 5;  // Of what may be the request's own fault.
constexpr milliseconds kFirstWait{500};
constexpr milliseconds kLongestWait{30'000};
constexpr milliseconds kDeadlineMost = std::chrono::hours(24);  // That a request may ask for.

// Not "req_": the ledger finds these again, whenever they were.
std::string id_of(const std::string& name) {
  return "batchreq_" + config::sha256_hex(name).substr(0, 24);
}

std::string id_of(const batch::Batch& batch, const batch::LineRef& line, const LineTerms& terms) {
  std::string name = batch.id;
  for (const int part : {line.number, terms.round, terms.attempt})
    name += "/" + std::to_string(part);
  return id_of(name);
}

Error not_for_lines() { return {Errc::internal, "a line's answer is one JSON text", "", {}}; }

}  // namespace

http::Request request_of(const batch::Batch& batch, const batch::LineRef& line,
                         std::string_view text, const LineTerms& terms) {
  http::Request raw;
  raw.id = id_of(batch, line, terms);
  raw.method = "POST";
  raw.path = batch.endpoint;
  raw.body = batch::body_of(text);
  raw.peer = "batch";
  raw.arrived = SteadyClock::now();
  raw.arrived_at = unix_seconds();
  raw.headers.push_back({"x-client-request-id", batch.id});
  const auto deadline = std::min(terms.deadline, kDeadlineMost);
  raw.headers.push_back({"x-spillway-deadline-ms", std::to_string(deadline.count())});
  if (!terms.request_class.empty())
    raw.headers.push_back({"x-spillway-class", terms.request_class});
  return raw;
}

std::string id_of_handed_over(std::string_view handover, int line) {
  return id_of(std::string(handover) + "/" + std::to_string(line));
}

void LineWriter::set_header(std::string_view name, std::string_view value) {
  if (name == "x-spillway-target") target_ = value;
  if (name == "x-spillway-left-out") left_out_ = value;
  if (name == "x-should-retry") never_again_ = value == "false";
  if (name != "retry-after-ms") return;
  std::int64_t wait = 0;
  std::from_chars(value.data(), value.data() + value.size(), wait);
  retry_after_ = milliseconds(wait);
}

Async<void> LineWriter::send(int status, std::string, std::string body) {
  status_ = status;
  body_ = std::move(body);
  co_return Result<void>();
}

Async<void> LineWriter::begin_stream() { co_return not_for_lines(); }
Async<void> LineWriter::begin_file(std::string, std::uint64_t) { co_return not_for_lines(); }
Async<void> LineWriter::write(std::string) { co_return not_for_lines(); }
Async<void> LineWriter::end(std::string) { co_return not_for_lines(); }

std::optional<milliseconds> LineWriter::again_in(int attempts) const {
  const bool capacity = status_ == 429 || status_ == 503;
  const bool failure = status_ == 0 || status_ == 408 || status_ == 409 || status_ >= 500;
  if (never_again_ || (!capacity && !failure)) return std::nullopt;
  if (!capacity && attempts >= kAttemptsMax) return std::nullopt;
  const auto backoff = std::min(kLongestWait, kFirstWait * (1 << std::min(attempts - 1, 10)));
  return std::max(backoff, retry_after_);
}

batch::Answer LineWriter::take(std::string request_id) {
  return {std::move(request_id), status_ == 0 ? 500 : status_, std::move(body_),
          std::move(left_out_)};
}

}  // namespace spillway
