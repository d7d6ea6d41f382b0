#include "gateway/repeats.h"

#include "config/digest.h"
#include "gateway/reception.h"
#include "gateway/refusal.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using replay::Answer;
using State = replay::FirstAnswers::State;

constexpr std::string_view kHeader = "idempotency-key";
constexpr std::size_t kKeyBytesMax = 255;
constexpr std::chrono::milliseconds kAskAgain{1'000};

// Passes an answer on and keeps it before its end leaves: who has it all can have it again.
class Recorder final : public http::ResponseWriter {
 public:
  Recorder(http::ResponseWriter& out, std::string request_id, replay::Claim claim,
           std::size_t bytes_max)
      : out_(out), claim_(std::move(claim)), bytes_max_(bytes_max) {
    answer_.request_id = std::move(request_id);
  }

  void set_header(std::string_view name, std::string_view value) override {
    answer_.headers.emplace_back(name, value);
    out_.set_header(name, value);
  }
  Async<void> send(int status, std::string content_type, std::string body) override {
    answer_.status = status;
    answer_.content_type = content_type;
    add(body);
    keep();
    co_return co_await out_.send(status, std::move(content_type), std::move(body));
  }
  Async<void> begin_stream() override {
    answer_.status = 200;
    return out_.begin_stream();
  }
  Async<void> begin_file(std::string content_type, std::uint64_t bytes) override {
    repeatable_ = false;
    return out_.begin_file(std::move(content_type), bytes);
  }
  Async<void> write(std::string piece) override {
    add(piece);
    return out_.write(std::move(piece));
  }
  Async<void> end(std::string last_piece) override {
    add(last_piece);
    keep();
    return out_.end(std::move(last_piece));
  }
  void keep_alive(std::chrono::milliseconds quiet) override { out_.keep_alive(quiet); }
  void failing() override { repeatable_ = false; }
  bool head_sent() const override { return out_.head_sent(); }
  int status() const override { return out_.status(); }

 private:
  void add(std::string_view piece) {
    repeatable_ = repeatable_ && answer_.body.size() + piece.size() <= bytes_max_;
    if (repeatable_) answer_.body += piece;
  }
  void keep() {
    const bool well = answer_.status >= 200 && answer_.status < 300;
    if (repeatable_ && well) claim_.keep(std::move(answer_), SteadyClock::now());
  }

  http::ResponseWriter& out_;
  replay::Claim claim_;
  const std::size_t bytes_max_;
  Answer answer_;
  bool repeatable_ = true;
};

// How much of its limits a caller has left is no part of an answer.
bool belongs_to_the_answer(std::string_view header) { return !header.starts_with("x-ratelimit-"); }

net::awaitable<void> say_again(std::shared_ptr<const Answer> answer, http::ResponseWriter& out) {
  for (const auto& [name, value] : answer->headers) {
    if (belongs_to_the_answer(name)) out.set_header(name, value);
  }
  out.set_header("idempotent-replayed", "true");
  out.set_header("x-spillway-first-request-id", answer->request_id);
  std::string body = answer->body;
  if (!answer->content_type.empty()) {
    std::string type = answer->content_type;
    (void)co_await out.send(answer->status, std::move(type), std::move(body));
    co_return;
  }
  const auto begun = co_await out.begin_stream();
  if (begun) (void)co_await out.end(std::move(body));
}

Error refusal_of(State state) {
  if (state == State::busy)
    return {Errc::conflict,
            "The first request with this idempotency-key is still being answered.",
            "",
            kAskAgain,
            "",
            "idempotency_key_in_use"};
  return {Errc::invalid_request,
          "This idempotency-key was used for another request: take a new one for each, and repeat "
          "one only with the same path and body.",
          "",
          std::nullopt,
          "",
          "idempotency_key_reused"};
}

Error no_key() {
  return {Errc::invalid_request,
          "The idempotency-key must have 1 to 255 characters of printable ASCII.", "",
          std::nullopt};
}

bool is_key(std::string_view key) {
  return !key.empty() && key.size() <= kKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
}

bool has_key(const http::Request& request) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [](const http::Header& header) { return header.name == kHeader; });
}

}  // namespace

net::awaitable<void> Repeats::serve(http::Request request, http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  const bool asks = request.method == "POST" && request.incoming == nullptr && has_key(request);
  const auto visitor = asks ? visitor_of(editions_, request) : Result<Visitor>(Visitor());
  if (!asks || !visitor) {  // Who may not ask hears it in the words of what was asked.
    co_await handler_(std::move(request), out);
    co_return;
  }
  const std::string_view key = request.header(kHeader);
  if (!is_key(key)) {
    const Error error = no_key();
    co_await refuse(error, request, out);
    co_return;
  }
  const replay::Name name{visitor->tenant, visitor->key_name + '\n' + std::string(key)};
  co_await serve_once(std::move(request), name, out);
}

net::awaitable<void> Repeats::serve_once(http::Request request, const replay::Name& name,
                                         http::ResponseWriter& out) {
  const std::string fingerprint = config::sha256_hex(request.path + '\n' + request.body);
  auto found = answers_.look(name, fingerprint, SteadyClock::now());
  ++counts_[static_cast<std::size_t>(found.state)];
  if (found.state == State::answered) {
    co_await say_again(std::move(found.answer), out);
  } else if (found.state == State::first) {
    Recorder recorder(out, request.id, std::move(found.claim), answers_.answer_bytes_max());
    co_await handler_(std::move(request), recorder);
  } else {
    const Error error = refusal_of(found.state);
    co_await refuse(error, request, out);
  }
}

Repeats::Counts Repeats::counts() const {
  const auto of = [this](State state) {
    return counts_[static_cast<std::size_t>(state)].load(std::memory_order_relaxed);
  };
  return {of(State::first), of(State::answered), of(State::busy) + of(State::other)};
}

}  // namespace spillway
