#include "gateway/provider/serving.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace spillway::provider {
namespace net = boost::asio;

namespace {

using simulated::Fault;
using simulated::FaultKind;
using simulated::Performance;

constexpr const char* kJson = "application/json";
constexpr std::chrono::hours kForever{24};
constexpr const char* kBroken = "The server had an error";

enum class Outcome { answered, failed, left };

// False once the client has left.
net::awaitable<bool> rest_until(TimePoint when) {
  if (when <= SteadyClock::now()) co_return true;
  net::steady_timer timer(co_await net::this_coro::executor);
  timer.expires_at(when);
  co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  const auto state = co_await net::this_coro::cancellation_state;
  co_return state.cancelled() == net::cancellation_type::none;
}

// Counts the answer as under way for as long as it lives.
class UnderWay {
 public:
  explicit UnderWay(Counts& counts) : counts_(counts) { ++counts_.open_streams; }
  ~UnderWay() { --counts_.open_streams; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

 private:
  Counts& counts_;
};

class Serving {
 public:
  Serving(const Protocol& protocol, Asked asked, const Performance& performance,
          std::string_view id, http::ResponseWriter& out)
      : protocol_(protocol),
        asked_(std::move(asked)),
        performance_(performance),
        echo_(asked_.prompt),
        begun_(echo_.tokens_in(asked_.begun)),
        speech_(protocol.speech(id, asked_)),
        out_(out),
        first_token_at_(SteadyClock::now() + from_seconds(performance.first_token_seconds)) {}

  net::awaitable<Outcome> serve() {
    const auto& fault = performance_.fault;
    if (!fault) co_return co_await answer();
    const bool before_any_token = fault->kind == FaultKind::error ||
                                  fault->kind == FaultKind::rate_limited ||
                                  fault->kind == FaultKind::garbage;
    if (before_any_token) co_return co_await refuse(*fault);
    if (fault->kind == FaultKind::silence) co_return co_await be_silent();
    if (fault->kind == FaultKind::silence_after_headers) co_return co_await be_silent_after_head();
    if (asked_.stream) co_return co_await break_stream(*fault);
    co_return co_await break_whole(*fault);
  }

  int tokens_sent() const { return tokens_sent_; }

 private:
  net::awaitable<Outcome> answer() {
    if (asked_.stream) co_return co_await stream();
    co_return co_await whole();
  }

  net::awaitable<Outcome> whole() {
    const bool here = co_await rest_until(time_of(asked_.completion_tokens - 1));
    if (!here) co_return Outcome::left;
    tokens_sent_ = asked_.completion_tokens;
    std::string body = whole_of(asked_.completion_tokens);
    co_return co_await send(200, kJson, std::move(body), Outcome::answered);
  }

  net::awaitable<Outcome> stream() {
    std::string last;
    const bool here = co_await stream_tokens(asked_.completion_tokens, last);
    if (!here) co_return Outcome::left;
    last.append(speech_->last_events()).append(speech_->end_event());
    const auto ended = co_await out_.end(std::move(last));
    co_return ended ? Outcome::answered : Outcome::left;
  }

  // Sends the first `count` tokens, each when it is due; those due at once are left in `unsent`.
  // False once the client has left.
  net::awaitable<bool> stream_tokens(int count, std::string& unsent) {
    co_await out_.begin_stream();
    for (int index = 0; index < count; ++index) {
      const TimePoint due = time_of(index);
      if (due > SteadyClock::now()) {
        const auto written = co_await out_.write(std::exchange(unsent, std::string()));
        const bool here = co_await rest_until(due);
        if (!written || !here) co_return false;
      }
      unsent += speech_->piece(echo_.token(begun_ + index), index);
      ++tokens_sent_;
    }
    co_return true;
  }

  net::awaitable<Outcome> refuse(const Fault& fault) {
    const bool here = co_await rest_until(SteadyClock::now() + from_seconds(fault.after_seconds));
    if (!here) co_return Outcome::left;
    if (fault.kind == FaultKind::garbage) {
      std::string page = "<html><body>Bad gateway</body></html>";
      co_return co_await send(200, "text/html", std::move(page), Outcome::failed);
    }
    if (fault.kind == FaultKind::error) {
      std::string body = error(fault.status, kBroken);
      co_return co_await send(fault.status, kJson, std::move(body), Outcome::failed);
    }
    out_.set_header("retry-after-ms", std::to_string(std::lround(fault.retry_after_seconds * 1e3)));
    std::string body = error(429, "Rate limit reached");
    co_return co_await send(429, kJson, std::move(body), Outcome::failed);
  }

  net::awaitable<Outcome> be_silent() {
    co_await rest_until(SteadyClock::now() + kForever);
    co_return Outcome::left;
  }

  net::awaitable<Outcome> be_silent_after_head() {
    co_await out_.begin_stream();
    std::string comment = ": accepted\n\n";
    co_await out_.write(std::move(comment));
    co_return co_await be_silent();
  }

  // Returning before the end of a stream makes the server cut the connection.
  net::awaitable<Outcome> break_stream(const Fault& fault) {
    std::string events;
    const bool after_all = fault.kind == FaultKind::no_done;
    const int count = after_all ? asked_.completion_tokens
                                : std::min(fault.after_tokens, asked_.completion_tokens);
    const bool here = co_await stream_tokens(count, events);
    if (!here) co_return Outcome::left;
    if (fault.kind == FaultKind::malformed) events += speech_->malformed_event();
    if (fault.kind == FaultKind::error_event) events += speech_->error_event(kBroken);
    if (after_all) events += speech_->last_events();
    if (fault.kind != FaultKind::cut && fault.kind != FaultKind::stall) {
      co_await out_.end(std::move(events));
      co_return Outcome::failed;
    }
    co_await out_.write(std::move(events));
    if (fault.kind == FaultKind::stall) co_return co_await be_silent();
    co_return Outcome::failed;
  }

  net::awaitable<Outcome> break_whole(const Fault& fault) {
    const bool here = co_await rest_until(time_of(asked_.completion_tokens - 1));
    if (!here) co_return Outcome::left;
    if (fault.kind == FaultKind::stall) co_return co_await be_silent();
    if (fault.kind == FaultKind::cut) {
      co_await out_.begin_stream();
      co_return Outcome::failed;
    }
    std::string body =
        fault.kind == FaultKind::error_event ? error(500, kBroken) : whole_of(1).substr(0, 100);
    co_return co_await send(200, kJson, std::move(body), Outcome::failed);
  }

  net::awaitable<Outcome> send(int status, std::string type, std::string body, Outcome then) {
    const auto sent = co_await out_.send(status, std::move(type), std::move(body));
    co_return sent ? then : Outcome::left;
  }

  std::string whole_of(int tokens) const {
    const auto thoughts = static_cast<std::size_t>(std::min(asked_.thoughts, tokens));
    const auto all = static_cast<std::size_t>(tokens);
    return speech_->whole(echo_.text(thoughts, begun_),
                          echo_.text(all - thoughts, begun_ + thoughts));
  }

  std::string error(int status, const char* message) const {
    return protocol_.error(status, {Errc::internal, message, "", std::nullopt});
  }

  TimePoint time_of(int token) const {
    return first_token_at_ + from_seconds(performance_.per_token_seconds * token);
  }

  const Protocol& protocol_;
  const Asked asked_;
  const Performance performance_;
  const simulated::Echo echo_;
  const std::size_t begun_;  // Tokens that the answer has already.
  const std::unique_ptr<Speech> speech_;
  http::ResponseWriter& out_;
  const TimePoint first_token_at_;
  int tokens_sent_ = 0;
};

void count(Counts& counts, Outcome outcome, bool faulty, const Serving& serving) {
  counts.completion_tokens += static_cast<std::uint64_t>(serving.tokens_sent());
  if (outcome == Outcome::answered) ++counts.answered;
  if (outcome == Outcome::left) ++counts.disconnects;
  if (faulty) ++counts.failures;
}

net::awaitable<void> refuse_over_limit(const Protocol& protocol, double wait,
                                       http::ResponseWriter& out) {
  out.set_header("retry-after-ms", std::to_string(std::lround(std::ceil(wait * 1e3))));
  std::string body = protocol.error(429, {Errc::rate_limited, "Rate limit reached", "", {}});
  std::string type = kJson;
  co_await out.send(429, std::move(type), std::move(body));
}

net::awaitable<void> refuse_request(const Protocol& protocol, Error error,
                                    http::ResponseWriter& out) {
  std::string body = protocol.error(400, error);
  std::string type = kJson;
  co_await out.send(400, std::move(type), std::move(body));
}

// Tools and thinking are seen by parsing only.
bool wants_a_close_look(const Protocol& protocol, std::string_view body) {
  return &protocol != &chat_protocol() || body.find("\"tool_choice\"") != body.npos ||
         body.find("\"reasoning_effort\"") != body.npos;
}

}  // namespace

net::awaitable<void> serve(House& house, const Protocol& protocol, http::Request request,
                           http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  Counts& counts = house.counts();
  ++counts.requests;
  const UnderWay under_way(counts);
  const auto script = house.script();
  if (script->dead) {
    // Begun and never ended: the connection goes without a byte.
    co_await out.begin_stream();
    ++counts.failures;
    co_return;
  }
  const bool closely = !house.instant(*script) || wants_a_close_look(protocol, request.body);
  auto asked = closely ? protocol.ask(request.body) : glance(request.body);
  if (!asked) co_return co_await refuse_request(protocol, asked.error(), out);
  const auto wait = house.over_limit(asked->prompt_tokens + asked->completion_tokens);
  if (wait) {
    ++counts.rate_limited;
    co_return co_await refuse_over_limit(protocol, *wait, out);
  }
  asked->cached_tokens = house.read(asked->beginnings);
  counts.prompt_tokens += static_cast<std::uint64_t>(asked->prompt_tokens);
  counts.cached_tokens += static_cast<std::uint64_t>(asked->cached_tokens);
  const Performance performance = house.perform(*script, *asked);
  Serving serving(protocol, std::move(*asked), performance, request.id, out);
  const Outcome outcome = co_await serving.serve();
  count(counts, outcome, performance.fault.has_value(), serving);
}

}  // namespace spillway::provider
