#include "gateway/relay.h"

#include "gateway/http/response_writer.h"
#include "gateway/openai/chat_response.h"

#include <algorithm>
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

void count(const Delta& delta, Receipt& receipt) {
  if (!delta.text.empty() || !delta.reasoning.empty() || !delta.extra.empty())
    ++receipt.completion_pieces;
  if (delta.finish) receipt.cut_by_limit = *delta.finish == FinishReason::length;
  receipt.completion_bytes += delta.text.size() + delta.reasoning.size();
  if (delta.usage) {
    receipt.usage = *delta.usage;
    receipt.usage_told = true;
  } else {
    receipt.usage.completion_tokens += delta.tokens;
  }
}

// What a provider cut off in the middle, or one that keeps its count to itself, is booked with:
// what has passed, at one token a piece or four bytes a token, whichever is more.
void settle_usage(Receipt& receipt) {
  if (receipt.usage_told || receipt.served_locally) return;
  const int by_bytes = static_cast<int>((receipt.completion_bytes + 3) / 4);
  receipt.usage.completion_tokens = std::max(receipt.completion_pieces, by_bytes);
}

// The next piece. A stream that ends before its finish reason has been cut, however politely it was
// closed.
Async<std::optional<Delta>> next_piece(TokenStream& stream, bool finished, Deadline deadline) {
  auto piece = co_await stream.next(deadline);
  if (piece && !*piece && !finished) {
    co_return Error{Errc::backend_unavailable, "the answer was cut off", "", std::nullopt};
  }
  co_return piece;
}

Async<void> relay_stream(Opened& opened, const ChatRequest& request, http::ResponseWriter& out,
                         Deadline deadline, Receipt& receipt) {
  const openai::ChatWriter writer(answer_info(request, receipt));
  auto begun = co_await out.begin_stream();
  if (!begun) co_return begun.error();

  std::string events = writer.first_chunk();
  std::optional<FinishReason> finish;
  std::optional<Delta> piece = std::move(opened.first);
  while (piece) {
    count(*piece, receipt);
    events += writer.delta(*piece);
    if (piece->finish) finish = piece->finish;
    if (!finish && (!opened.stream->ready() || events.size() > kWriteBytesMax)) {
      auto written = co_await out.write(std::exchange(events, std::string()));
      if (!written) co_return written.error();
    }
    auto next = co_await next_piece(*opened.stream, finish.has_value(), deadline);
    if (!next) {
      if (!events.empty()) (void)co_await out.write(std::move(events));
      co_return next.error();
    }
    piece = std::move(*next);
  }
  settle_usage(receipt);
  events += writer.finish(*finish);
  events += writer.usage(receipt.usage);
  events += openai::ChatWriter::done();
  co_return co_await out.end(std::move(events));
}

Async<void> relay_whole(Opened& opened, const ChatRequest& request, http::ResponseWriter& out,
                        Deadline deadline, Receipt& receipt) {
  openai::ChatAnswer answer;
  bool finished = false;
  std::optional<Delta> piece = std::move(opened.first);
  while (piece) {
    count(*piece, receipt);
    answer.add(*piece);
    finished = finished || piece->finish.has_value();
    auto next = co_await next_piece(*opened.stream, finished, deadline);
    if (!next) co_return next.error();
    piece = std::move(*next);
  }
  settle_usage(receipt);
  Delta last;
  last.usage = receipt.usage;
  answer.add(last);
  co_return co_await out.send(200, "application/json", answer.body(answer_info(request, receipt)));
}

}  // namespace

Async<void> relay(Opened& opened, const ChatRequest& request, http::ResponseWriter& out,
                  Deadline deadline, Receipt& receipt) {
  receipt.first_token = SteadyClock::now();
  Result<void> outcome;
  if (request.stream) {
    outcome = co_await relay_stream(opened, request, out, deadline, receipt);
  } else {
    outcome = co_await relay_whole(opened, request, out, deadline, receipt);
  }
  settle_usage(receipt);
  if (!opened.visit) co_return outcome;
  if (outcome) {
    opened.visit->finished(receipt.usage.completion_tokens);
  } else {
    opened.visit->failed(outcome.error());
  }
  co_return outcome;
}

}  // namespace spillway
