#include "gateway/api/response_api.h"

#include "gateway/api/running_response.h"
#include "gateway/request/call.h"
#include "gateway/request/measure.h"
#include "gateway/request/refusal.h"
#include "gateway/responses/chat_words.h"
#include "gateway/responses/response_object.h"
#include "gateway/responses/stored.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookAgain{10};
constexpr milliseconds kWriteAgain{1'000};
constexpr milliseconds kCancelMax{5'000};
constexpr std::size_t kUnwrittenMax = 64 << 20;  // Bytes that wait for a disk that takes them.
constexpr int kPageMax = 100;
constexpr std::string_view kLost =
    "what this response came to could not be written down: ask again";
constexpr int kTooMany = 429;

Error invalid(std::string why, std::string param) {
  return Error{Errc::invalid_request, std::move(why), std::move(param), std::nullopt};
}

net::awaitable<void> rest(milliseconds time = kLookAgain) {
  net::steady_timer timer(co_await net::this_coro::executor);
  timer.expires_after(time);
  co_await timer.async_wait(net::as_tuple(net::use_awaitable));
}

// The number of the first event that is wanted.
Result<std::size_t> first_event(const http::Request& raw) {
  const std::string after = raw.parameter("starting_after");
  if (after.empty()) return std::size_t{0};
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), number);
  const bool is_number = error == std::errc() && end == after.data() + after.size();
  if (!is_number || number == std::numeric_limits<std::size_t>::max())
    return invalid("'starting_after' must be an event's number", "starting_after");
  return number + 1;
}

Error no_such_event() {
  return invalid("'starting_after' names an event that this response has not told",
                 "starting_after");
}

Result<responses::ItemPage> page_of(const http::Request& raw) {
  responses::ItemPage page;
  page.after = raw.parameter("after");
  const auto newest = newest_first(raw, true);
  if (!newest) return newest.error();
  page.newest_first = *newest;
  const auto limit = page_limit(raw, page.limit, kPageMax);
  if (!limit) return limit.error();
  page.limit = *limit;
  return page;
}

// Of a response that failed because its request was refused with that status.
std::string_view failure_code(int status) {
  if (status == kTooMany) return "rate_limit_exceeded";
  return status >= 400 && status < 500 ? "invalid_prompt" : "server_error";
}

// The response object that is left of it, whether it was answered or not.
std::string outcome_of(const RunningResponse& running) {
  const std::string told = running.outcome();
  if (!told.empty()) return told;
  const std::string refused = running.refused(), last = running.last_object();
  const std::string& begun = running.begun.body;
  if (running.cancelled) return responses::with_status(begun, "cancelled");
  if (!last.empty()) return last;
  const std::string why = refused.empty() ? "the gateway stopped before this response was done"
                                          : responses::message_in(refused);
  return responses::with_failure(begun, failure_code(running.status()), why);
}

void ask_to_stop(Background& background, const std::shared_ptr<RunningResponse>& running) {
  background.post([running] { running->cancel.emit(net::cancellation_type::terminal); });
}

}  // namespace

ResponseApi::ResponseApi(Doors doors)
    : doors_(std::move(doors)),
      row_(std::make_unique<Row>()),
      background_(std::make_unique<Background>("responses")) {}

ResponseApi::~ResponseApi() { stop(); }

void ResponseApi::add_to(http::Routes& routes) const {
  routes.add("POST", "/v1/responses", std::bind_front(&ResponseApi::create, this));
  routes.add("GET", "/v1/responses/{id}", std::bind_front(&ResponseApi::retrieve, this));
  routes.add("DELETE", "/v1/responses/{id}", handle(&ResponseApi::remove));
  routes.add("POST", "/v1/responses/{id}/cancel", handle(&ResponseApi::cancel));
  routes.add("GET", "/v1/responses/{id}/input_items", handle(&ResponseApi::input_items));
  routes.add("POST", "/v1/responses/input_tokens", handle(&ResponseApi::input_tokens));
}

http::Handler ResponseApi::handle(Work work) const {
  return object_handler(doors_.reception, std::bind_front(work, this));
}

void ResponseApi::stop() {
  row_->stopping = true;
  {
    const std::lock_guard lock(row_->mutex);
    for (const auto& [id, running] : row_->by_id) ask_to_stop(*background_, running);
  }
  (void)background_->wait_idle(SteadyClock::now() + kCancelMax);
  background_->stop();
}

ResponseApi::Running ResponseApi::running(const std::string& id) const {
  const std::lock_guard lock(row_->mutex);
  const auto found = row_->by_id.find(id);
  return found == row_->by_id.end() ? nullptr : found->second;
}

net::awaitable<void> ResponseApi::create(http::Request raw, http::ResponseWriter& out) const {
  co_await net::this_coro::throw_if_cancelled(false);
  if (!responses::asks_for_background(raw.body)) {
    co_await doors_.speak(std::move(raw), out);
    co_return;
  }
  const auto visitor = visitor_of(doors_.reception.editions(), raw);
  if (!visitor) {
    co_await refuse(visitor.error(), out);
    co_return;
  }
  const auto quiet = quiet_for(client_timeout(raw), *visitor->edition->settings);
  auto begun = co_await begin(raw, *visitor);
  if (!begun) {
    co_await refuse(begun.error(), out);
    co_return;
  }
  while (!(*begun)->accepted && !(*begun)->ended) {
    co_await rest();
    const auto state = co_await net::this_coro::cancellation_state;
    if (state.cancelled() != net::cancellation_type::none) co_return;
  }
  (*begun)->say_head(out);
  if (!(*begun)->accepted && (*begun)->status() == 0) {
    const Error stopped{.code = Errc::overloaded, .message = "The gateway is stopping."};
    co_await refuse(stopped, out);
    co_return;
  }
  if (!(*begun)->accepted) {
    std::string refused = (*begun)->refused();
    (void)co_await out.send((*begun)->status(), "application/json", std::move(refused));
    co_return;
  }
  if ((*begun)->streams) {
    out.keep_alive(quiet);
    co_await follow(*begun, 0, out);
    co_return;
  }
  std::string body = (*begun)->begun.body;
  (void)co_await out.send(200, "application/json", std::move(body));
}

Async<ResponseApi::Running> ResponseApi::begin(http::Request& raw, const Visitor& visitor) const {
  const wire::Call call = call_of(raw, raw.body, visitor.caller, doors_.reading);
  auto understood = co_await doors_.protocol.understand(call);
  if (!understood) co_return understood.error();
  forget_client_timeout(raw);  // Its patience is with the connection, which has its answer at once.
  auto running = std::make_shared<RunningResponse>(understood->info.id, visitor.tenant,
                                                   understood->request.stream);
  std::string body = responses::begun_text(understood->info, "queued");
  running->begun = responses::kept_of(*understood, visitor.tenant, std::move(body), false);
  {
    const std::lock_guard lock(row_->mutex);
    row_->by_id.emplace(running->id, running);
  }
  const auto ended = [row = row_.get(), running] {
    running->ended = true;
    const std::lock_guard lock(row->mutex);
    row->by_id.erase(running->id);
  };
  background_->start(run(running, visitor.key_name, std::move(raw)), ended, running->cancel.slot());
  co_return running;
}

net::awaitable<void> ResponseApi::run(Running running, std::string key_name,
                                      http::Request raw) const {
  co_await net::this_coro::throw_if_cancelled(false);
  OnBehalf whose{running->tenant, std::move(key_name)};
  whose.accept = [this, running] { return accept(running); };
  co_await doors_.errand(std::move(whose), std::move(raw), *running);
  if (running->accepted) co_await settle(running);
}

// From here on it is there for who asks for it.
Async<void> ResponseApi::accept(Running running) const {
  responses::Kept begun = running->begun;
  auto put = co_await doors_.archive.put(std::move(begun));
  if (!put) co_return put.error();
  running->accepted = true;
  co_return Result<void>();
}

// What it came to is told, and written down as soon as the disk takes it.
net::awaitable<void> ResponseApi::settle(const Running& running) const {
  auto written = co_await write_end(running);
  if (written) co_return;
  const std::string outcome = outcome_of(*running);
  running->end_with(outcome);
  running->ended = true;
  const std::size_t bytes = outcome.size();
  const bool has_room = row_->unwritten_bytes.fetch_add(bytes) + bytes <= kUnwrittenMax;
  while (!written && has_room && !row_->stopping) {
    co_await rest(kWriteAgain);
    written = co_await write_end(running);
  }
  row_->unwritten_bytes -= bytes;
}

Async<void> ResponseApi::write_end(const Running& running) const {
  auto kept = co_await doors_.archive.find(running->tenant, running->id);
  if (!kept) {
    if (kept.error().code == Errc::not_found) co_return Result<void>();  // Its client deleted it.
    co_return kept.error();
  }
  const std::string last = running->last_object();
  const bool is_known = last.empty() || last == kept->body;
  if (kept->ended && is_known && running->refused().empty()) {
    running->end_with(kept->body);
    co_return Result<void>();
  }
  const bool answered = !kept->ended && !running->cancelled && !last.empty();
  kept->body = outcome_of(*running);
  kept->ended = true;
  kept->transcript = running->transcript();
  const responses::Kept end = *kept;
  auto put = co_await doors_.archive.put(std::move(*kept));
  if (!put) co_return put.error();
  running->end_with(end.body);
  if (!answered || end.conversation.empty()) co_return Result<void>();
  std::vector<std::string> lists{end.input, responses::output_of(end.body)};
  std::string turn = responses::turn_of(end.id);
  co_return co_await doors_.archive.add_turn(running->tenant, end.conversation, std::move(lists),
                                             std::move(turn));
}

net::awaitable<void> ResponseApi::follow(const Running& running, std::size_t from,
                                         http::ResponseWriter& out) const {
  (void)co_await out.begin_stream();
  std::size_t next = from;
  while (true) {
    const bool ended = running->ended;
    std::string events = running->events_from(next);
    if (ended) {
      (void)co_await out.end(std::move(events));
      co_return;
    }
    const auto written = co_await out.write(std::move(events));
    if (!written) co_return;
    co_await rest();
    const auto state = co_await net::this_coro::cancellation_state;
    if (state.cancelled() != net::cancellation_type::none) co_return;
  }
}

// As it is known here, which the disk may not know yet.
Async<responses::Kept> ResponseApi::find(const http::Request& raw, const Visitor& visitor) const {
  const Running running = this->running(raw.tail);
  auto kept = co_await doors_.archive.find(visitor.tenant, raw.tail);
  if (!kept || (kept->ended && !running)) co_return kept;
  if (running && running->ended) {
    kept->body = running->outcome();
    kept->ended = true;
  } else if (running) {
    kept->ended = false;  // Its conversation may not have it yet.
  } else {
    kept->body = responses::with_failure(kept->body, "server_error", kLost);
    kept->ended = true;
    responses::Kept lost = *kept;
    (void)co_await doors_.archive.put(std::move(lost));
  }
  co_return kept;
}

net::awaitable<void> ResponseApi::retrieve(http::Request raw, http::ResponseWriter& out) const {
  co_await net::this_coro::throw_if_cancelled(false);
  auto visitor = visitor_of(doors_.reception.editions(), raw);
  if (!visitor) co_return co_await refuse(visitor.error(), out);
  const auto from = first_event(raw);
  if (!from) co_return co_await refuse(from.error(), out);
  const Running running = this->running(raw.tail);
  const auto kept = co_await find(raw, *visitor);
  if (!kept) co_return co_await refuse(kept.error(), out);
  if (raw.parameter("stream") != "true") {
    const std::string& begun = running ? running->begun.body : kept->body;
    std::string body = kept->ended ? kept->body : responses::with_status(begun, "in_progress");
    const auto admitted = doors_.reception.admit_answer(raw, *visitor, body.size(), out);
    if (!admitted) co_return co_await refuse(admitted.error(), out);
    (void)co_await out.send(200, "application/json", std::move(body));
    co_return;
  }
  if (running && running->streams) {
    if (*from > running->events()) co_return co_await refuse(no_such_event(), out);
    out.keep_alive(quiet_for(client_timeout(raw), *visitor->edition->settings));
    co_return co_await follow(running, *from, out);
  }
  if (!kept->ended) {
    const Error silent = invalid("this response was not asked for as a stream", "stream");
    co_return co_await refuse(silent, out);
  }
  const auto transcript = co_await doors_.archive.transcript(visitor->tenant, raw.tail);
  if (!transcript) co_return co_await refuse(transcript.error(), out);
  const std::size_t bytes = kept->body.size() + transcript->size();
  const auto admitted = doors_.reception.admit_answer(raw, *visitor, bytes, out);
  if (!admitted) co_return co_await refuse(admitted.error(), out);
  auto events = responses::events_from(*from, kept->body, *transcript);
  if (!events) co_return co_await refuse(no_such_event(), out);
  (void)co_await out.begin_stream();
  (void)co_await out.end(std::move(*events));
}

Async<std::string> ResponseApi::cancel(http::Request& raw, const Visitor& visitor) const {
  auto kept = co_await find(raw, visitor);
  if (!kept) co_return kept.error();
  if (!responses::is_background(kept->body))
    co_return invalid("only a response in the background can be cancelled", "");
  if (kept->ended) co_return std::move(kept->body);
  if (const Running running = this->running(raw.tail)) {
    running->cancelled = true;
    ask_to_stop(*background_, running);
    const Deadline deadline = SteadyClock::now() + kCancelMax;
    while (!running->ended && SteadyClock::now() < deadline) co_await rest();
    kept = co_await find(raw, visitor);
    if (!kept) co_return kept.error();
  }
  co_return std::move(kept->body);
}

Async<std::string> ResponseApi::remove(http::Request& raw, const Visitor& visitor) const {
  const auto kept = co_await find(raw, visitor);
  if (!kept) co_return kept.error();
  if (this->running(raw.tail) != nullptr) {
    auto cancelled = co_await cancel(raw, visitor);
    if (!cancelled) co_return cancelled.error();
  }
  auto removed = co_await doors_.archive.remove(visitor.tenant, raw.tail);
  if (!removed) co_return removed.error();
  co_return responses::deleted_text(raw.tail);
}

Async<std::string> ResponseApi::input_items(http::Request& raw, const Visitor& visitor) const {
  auto page = page_of(raw);
  if (!page) co_return page.error();
  co_return co_await doors_.archive.input_items(visitor.tenant, raw.tail, std::move(*page));
}

Async<std::string> ResponseApi::input_tokens(http::Request& raw, const Visitor& visitor) const {
  const wire::Call call = call_of(raw, raw.body, visitor.caller, doors_.reading);
  const auto understood = co_await doors_.protocol.understand(call);
  if (!understood) co_return responses::in_words_of_responses(understood.error());
  const auto known = visitor.check_model(understood->chat->model);
  if (!known) co_return known.error();
  const auto tokens = co_await doors_.count_tokens(understood->chat, visitor.tenant);
  if (!tokens) co_return responses::in_words_of_responses(tokens.error());
  co_return R"({"object":"response.input_tokens","input_tokens":)" + std::to_string(*tokens) + "}";
}

}  // namespace spillway
