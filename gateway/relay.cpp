#include "gateway/relay.h"

#include "gateway/http/response_writer.h"
#include "gateway/notes.h"
#include "gateway/openai/chat_response.h"

#include <chrono>
#include <string>
#include <utility>

namespace spillway {
namespace {

// Events are gathered while more pieces are ready, up to this size, so that a fast stream costs few
// writes.
constexpr std::size_t kWriteBytesMax = 16 << 10;

openai::ChatAnswerInfo answer_info(const ChatRequest& request, const Receipt& receipt) {
  openai::ChatAnswerInfo info;
  info.id = openai::chat_completion_id(receipt.request_id);
  info.model = request.model;
  info.created = std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  info.include_usage = request.include_usage;
  return info;
}

// The next piece. A stream that ends before its finish reason has been cut, however politely it was
// closed; one that breaks after it is whole.
Async<std::optional<Delta>> next_piece(TokenStream& stream, bool finished, Deadline deadline) {
  auto piece = co_await stream.next(deadline);
  if (piece && !*piece && !finished)
    co_return Error{Errc::backend_unavailable, "the answer was cut off", "", std::nullopt};
  if (!piece && finished && piece.error().code != Errc::cancelled) co_return std::nullopt;
  co_return piece;
}

// What of it is for the client: one choice is all that can be asked for.
bool is_answer(const Delta& piece) { return piece.choice == 0; }

class StreamRelay {
 public:
  StreamRelay(Opened& opened, Course& course, http::ResponseWriter& out)
      : opened_(opened),
        course_(course),
        out_(out),
        writer_(answer_info(course.request(), course.receipt())) {}

  Async<void> run() {
    describe(course_.receipt(), out_);
    auto begun = co_await out_.begin_stream();
    if (!begun) co_return begun.error();
    events_ = writer_.first_chunk();
    std::optional<Delta> piece = std::move(opened_.first);
    while (piece) {
      pass(*piece);
      if (!finish_ && course_.past_the_limit()) break;
      const bool idle = !opened_.stream->ready() || events_.size() > kWriteBytesMax;
      if (!finish_ && idle) {
        auto written = co_await flush();
        if (!written) co_return written.error();
      }
      auto next = co_await next_piece(*opened_.stream, finish_.has_value(), course_.deadline());
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
  void pass(const Delta& piece) {
    count(piece, course_.receipt().parts.back());
    if (!is_answer(piece)) return;
    delivered_.add(piece);
    events_ += writer_.delta(piece);
    if (piece.finish) finish_ = piece.finish;
  }

  Async<void> flush() { co_return co_await out_.write(std::exchange(events_, std::string())); }

  // The stream broke. What is there goes out first: it may take a while until somebody goes on.
  Async<std::optional<Delta>> go_on(const Error& cause) {
    if (!events_.empty()) {
      auto written = co_await flush();
      if (!written) co_return written.error();
    }
    course_.broke(opened_, cause);
    if (course_.at_the_limit()) co_return std::nullopt;
    auto successor = co_await course_.after(delivered_);
    if (!successor) co_return successor.error();
    opened_ = std::move(*successor);
    co_return std::move(opened_.first);
  }

  Async<void> end() {
    Receipt& receipt = course_.receipt();
    const FinishReason reason = finish_.value_or(FinishReason::length);
    receipt.cut_by_limit = reason == FinishReason::length;
    add_up(receipt);
    events_ += writer_.finish(reason);
    events_ += writer_.usage(receipt.usage);
    events_ += openai::ChatWriter::done();
    co_return co_await out_.end(std::move(events_));
  }

  Opened& opened_;
  Course& course_;
  http::ResponseWriter& out_;
  const openai::ChatWriter writer_;
  std::string events_;  // Not written yet.
  Delivered delivered_;
  std::optional<FinishReason> finish_;
};

// Nothing is out before the whole is there: if it breaks, another target answers afresh.
Async<void> relay_whole(Opened& opened, Course& course, http::ResponseWriter& out) {
  const Delivered nothing;
  Receipt& receipt = course.receipt();
  openai::ChatAnswer answer;
  std::optional<FinishReason> finish;
  std::optional<Delta> piece = std::move(opened.first);
  while (piece) {
    count(*piece, receipt.parts.back());
    if (is_answer(*piece)) {
      answer.add(*piece);
      if (piece->finish) finish = piece->finish;
    }
    auto next = co_await next_piece(*opened.stream, finish.has_value(), course.deadline());
    if (next) {
      piece = std::move(*next);
      continue;
    }
    const Error cause = next.error();
    course.broke(opened, cause);
    auto successor = co_await course.after(nothing);
    if (!successor) co_return successor.error();
    opened = std::move(*successor);
    answer = {};
    piece = std::move(opened.first);
  }
  receipt.cut_by_limit = finish == FinishReason::length;
  add_up(receipt);
  Delta last;
  last.usage = receipt.usage;
  answer.add(last);
  describe(receipt, out);
  const openai::ChatAnswerInfo info = answer_info(course.request(), receipt);
  co_return co_await out.send(200, "application/json", answer.body(info));
}

}  // namespace

Async<void> relay(Opened& opened, Course& course, http::ResponseWriter& out) {
  Receipt& receipt = course.receipt();
  receipt.first_token = SteadyClock::now();
  Result<void> outcome;
  if (course.request().stream) {
    StreamRelay stream(opened, course, out);
    outcome = co_await stream.run();
  } else {
    outcome = co_await relay_whole(opened, course, out);
  }
  add_up(receipt);
  if (!opened.visit) co_return outcome;
  if (outcome) {
    opened.visit->finished(receipt.parts.back().usage.completion_tokens);
  } else {
    opened.visit->failed(outcome.error());
  }
  co_return outcome;
}

}  // namespace spillway
