#include "gateway/request/relay.h"

#include "gateway/http/response_writer.h"
#include "gateway/request/notes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

// Events are gathered while more pieces are ready, up to this size, so that a fast stream costs few
// writes.
constexpr std::size_t kWriteBytesMax = 16 << 10;

constexpr std::chrono::seconds kLeftWithin{1};

// The next piece. A stream that ends before its finish reason has been cut, however politely it was
// closed; one that breaks after it is whole.
Async<std::optional<Delta>> next_piece(TokenStream& stream, bool finished, Deadline deadline) {
  auto piece = co_await stream.next(deadline);
  if (piece && !*piece && !finished)
    co_return Error{Errc::backend_unavailable, "the answer was cut off", "", std::nullopt};
  if (!piece && finished && piece.error().code != Errc::cancelled) co_return std::nullopt;
  co_return piece;
}

bool says_more(const Delta& piece) {
  return !piece.text.empty() || !piece.reasoning.empty() || !piece.extra.empty();
}

// The choices of an answer, and how each of them ended.
class Finishes {
 public:
  explicit Finishes(int choices) : reasons_(static_cast<std::size_t>(choices)) {}

  // Whether the piece belongs to a choice that was asked for.
  bool take(const Delta& piece) {
    if (piece.choice < 0 || static_cast<std::size_t>(piece.choice) >= reasons_.size()) return false;
    auto& reason = reasons_[static_cast<std::size_t>(piece.choice)];
    if (piece.finish) reason = piece.finish;
    return true;
  }

  bool all() const {
    return std::all_of(reasons_.begin(), reasons_.end(), [](const auto& one) { return one; });
  }

  void forget() { std::fill(reasons_.begin(), reasons_.end(), std::nullopt); }

  // What has no reason of its own ended at its limit.
  std::vector<FinishReason> reasons() const {
    std::vector<FinishReason> all;
    for (const auto& one : reasons_) all.push_back(one.value_or(FinishReason::length));
    return all;
  }

 private:
  std::vector<std::optional<FinishReason>> reasons_;
};

class Relay {
 public:
  Relay(Opened& opened, Course& course, wire::AnswerWriter& writer, http::ResponseWriter& out)
      : opened_(opened),
        course_(course),
        writer_(writer),
        out_(out),
        streams_(course.request().stream),
        finishes_(course.request().choices) {}

  // What the target has sent it bills, though its client has not taken it.
  boost::asio::awaitable<void> count_left() {
    const Deadline until = SteadyClock::now() + kLeftWithin;
    while (SteadyClock::now() < until) {
      const auto piece = co_await opened_.stream->left();
      if (!piece || !*piece) co_return;
      count(**piece, course_.receipt().parts.back());
    }
  }

  Async<void> run() {
    auto begun = co_await begin();
    if (!begun) co_return begun.error();
    std::optional<Delta> piece = std::move(opened_.first);
    while (piece) {
      const bool had_ended = finishes_.all();  // So it said.
      pass(*piece);
      const bool goes_on = !finishes_.all() || (had_ended && says_more(*piece));
      if (goes_on && course_.past_the_limit()) break;
      const bool idle = !opened_.stream->ready() || events_.size() > kWriteBytesMax;
      if (goes_on && idle) {
        auto written = co_await flush();
        if (!written) co_return written.error();
      }
      auto next = co_await next_piece(*opened_.stream, finishes_.all(), course_.deadline());
      if (next) {
        piece = std::move(*next);
        continue;
      }
      const Error cause = next.error();
      auto successors = co_await go_on(cause);
      if (!successors) co_return successors.error();
      piece = std::move(*successors);
    }
    co_return co_await end();
  }

 private:
  Async<void> begin() {
    wire::Opening opening;
    opening.prompt_tokens = course_.receipt().usage.prompt_tokens;
    opening.service_tier = course_.receipt().service_tier;
    opening.left_out = course_.receipt().left_out;
    events_ = writer_.begin(opening);
    if (!streams_) co_return Result<void>();
    describe(course_.receipt(), out_);
    co_return co_await out_.begin_stream();
  }

  void pass(const Delta& piece) {
    count(piece, course_.receipt().parts.back());
    if (!finishes_.take(piece)) return;
    if (streams_) delivered_.add(piece);
    events_ += writer_.piece(piece);
  }

  Async<void> flush() {
    if (events_.empty()) co_return Result<void>();
    co_return co_await out_.write(std::exchange(events_, std::string()));
  }

  // The stream broke. What is there goes out first: it may take a while until somebody goes on.
  Async<std::optional<Delta>> go_on(const Error& cause) {
    auto written = co_await flush();
    if (!written) co_return written.error();
    course_.broke(opened_, cause);
    if (course_.at_the_limit()) co_return std::nullopt;
    auto successor = co_await course_.after(delivered_);
    if (!successor) co_return successor.error();
    if (!streams_) {
      writer_.afresh();
      finishes_.forget();
    }
    opened_ = std::move(*successor);
    co_return std::move(opened_.first);
  }

  Async<void> end() {
    Receipt& receipt = course_.receipt();
    wire::Ending ending;
    ending.finishes = finishes_.reasons();
    receipt.cut_by_limit = ending.finishes.front() == FinishReason::length;
    course_.settle();
    ending.usage = receipt.usage;
    ending.left_out = receipt.left_out;
    auto kept = co_await writer_.keep(ending);
    if (!kept) co_return kept.error();
    receipt.unkept = !*kept;
    events_ += writer_.end(ending);
    if (streams_) co_return co_await out_.end(std::move(events_));
    describe(receipt, out_);
    co_return co_await out_.send(200, "application/json", std::move(events_));
  }

  Opened& opened_;
  Course& course_;
  wire::AnswerWriter& writer_;
  http::ResponseWriter& out_;
  const bool streams_;
  std::string events_;   // Not written yet; in the end, the whole body.
  Delivered delivered_;  // Nothing, as long as the answer is to be whole.
  Finishes finishes_;
};

}  // namespace

Async<void> relay(Opened& opened, Course& course, wire::AnswerWriter& writer,
                  http::ResponseWriter& out) {
  Receipt& receipt = course.receipt();
  receipt.first_token = SteadyClock::now();
  Relay carrier(opened, course, writer, out);
  auto outcome = co_await carrier.run();  // What has passed is added up with its account.
  if (!outcome && opened.stream) co_await carrier.count_left();
  if (!opened.visit) co_return outcome;
  if (outcome) {
    const Part& part = receipt.parts.back();
    opened.visit->finished(part.usage.completion_tokens);
    if (part.usage_told) opened.visit->billed(part.usage.prompt_tokens, part.usage.cached_tokens);
    if (tells_density(part)) opened.visit->wrote(part.bytes, part.usage.completion_tokens);
  } else {
    opened.visit->failed(outcome.error());
  }
  co_return outcome;
}

}  // namespace spillway
