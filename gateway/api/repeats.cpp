#include "gateway/api/repeats.h"

#include "config/digest.h"
#include "gateway/api/passing_writer.h"
#include "gateway/request/refusal.h"

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
constexpr std::string_view kReplayed = "idempotent-replayed";
constexpr std::string_view kFirstId = "x-spillway-first-request-id";
constexpr std::string_view kTriesBefore = "x-stainless-retry-count";
constexpr std::size_t kKeyBytesMax = 255;
constexpr std::size_t kPlainBytesMax = 1U << 20;  // Of a body that is hashed without being asked.
constexpr std::chrono::milliseconds kAskAgain{1'000};

bool went_well(int status) { return status >= 200 && status < 300; }

// Passes an answer on and keeps it before its end leaves: who has it all can have it again.
class Recorder final : public PassingWriter {
 public:
  Recorder(http::ResponseWriter& out, std::string request_id, replay::Claim claim,
           std::size_t bytes_max)
      : PassingWriter(out), claim_(std::move(claim)), bytes_max_(bytes_max) {
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
  void failing() override { repeatable_ = false; }

 private:
  void add(std::string_view piece) {
    repeatable_ = repeatable_ && answer_.body.size() + piece.size() <= bytes_max_;
    if (repeatable_) answer_.body += piece;
  }
  void keep() {
    if (repeatable_ && went_well(answer_.status))
      claim_.keep(std::move(answer_), SteadyClock::now());
  }

  replay::Claim claim_;
  const std::size_t bytes_max_;
  Answer answer_;
  bool repeatable_ = true;
};

// Passes an answer on. One that is whole and went well can be had again if it does not arrive.
class Courier final : public PassingWriter {
 public:
  Courier(http::ResponseWriter& out, std::string request_id, replay::LostAnswers& lost,
          replay::Name name)
      : PassingWriter(out), lost_(lost), name_(std::move(name)) {
    answer_.request_id = std::move(request_id);
  }

  void set_header(std::string_view name, std::string_view value) override {
    answer_.headers.emplace_back(name, value);
    out_.set_header(name, value);
  }
  Async<void> send(int status, std::string content_type, std::string body) override {
    if (went_well(status)) take_care_of(status, content_type, body);
    return out_.send(status, std::move(content_type), std::move(body));
  }

 private:
  void take_care_of(int status, const std::string& content_type, const std::string& body) {
    answer_.status = status;
    answer_.content_type = content_type;
    answer_.body = body;
    if (auto sending = lost_.send(std::move(name_), std::move(answer_)))
      out_.if_lost([sending = std::move(sending)] { sending->lost(SteadyClock::now()); });
  }

  replay::LostAnswers& lost_;
  replay::Name name_;
  Answer answer_;
};

// How much of its limits a caller has left is no part of an answer, nor is that it comes again.
bool belongs_to_the_answer(std::string_view header) {
  return !header.starts_with("x-ratelimit-") && header != kReplayed && header != kFirstId;
}

net::awaitable<void> say_again(std::shared_ptr<const Answer> answer, http::ResponseWriter& out) {
  for (const auto& [name, value] : answer->headers) {
    if (belongs_to_the_answer(name)) out.set_header(name, value);
  }
  out.set_header(kReplayed, "true");
  out.set_header(kFirstId, answer->request_id);
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

bool is_further_try(const http::Request& request) {
  const std::string_view tries = request.header(kTriesBefore);
  return !tries.empty() && tries.find_first_not_of("0123456789") == tries.npos &&
         tries.find_first_not_of('0') != tries.npos;
}

bool has_key(const http::Request& request) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [](const http::Header& header) { return header.name == kHeader; });
}

}  // namespace

net::awaitable<void> Repeats::serve(http::Request request, http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  const bool asks = request.method == "POST" && request.incoming == nullptr;
  const auto visitor = asks ? visitor_of(editions_, request) : Result<Visitor>(Visitor());
  if (!asks || !visitor) {  // Who may not ask hears it in the words of what was asked.
    co_await handler_(std::move(request), out);
    co_return;
  }
  if (!has_key(request)) co_return co_await serve_plain(std::move(request), *visitor, out);
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
    tell(request, *found.answer, "the first answer under its idempotency-key is given again");
    co_await say_again(std::move(found.answer), out);
  } else if (found.state == State::first) {
    Recorder recorder(out, request.id, std::move(found.claim), answers_.answer_bytes_max());
    co_await handler_(std::move(request), recorder);
  } else {
    const Error error = refusal_of(found.state);
    co_await refuse(error, request, out);
  }
}

net::awaitable<void> Repeats::serve_plain(http::Request request, const Visitor& visitor,
                                          http::ResponseWriter& out) {
  if (request.body.size() > kPlainBytesMax) co_return co_await handler_(std::move(request), out);
  const replay::Name name{visitor.tenant, visitor.key_name + '\n' + request.path + '\n' +
                                              config::sha256_hex(request.body)};
  auto answer = is_further_try(request) ? lost_.take(name, SteadyClock::now()) : nullptr;
  Courier courier(out, answer ? answer->request_id : request.id, lost_, name);
  if (!answer) co_return co_await handler_(std::move(request), courier);
  ++redelivered_;
  tell(request, *answer, "an answer that had not arrived is given to its client's next try");
  co_await say_again(std::move(answer), courier);
}

// These have no line of their own in the access log: nobody worked for them.
void Repeats::tell(const http::Request& request, const Answer& answer,
                   std::string_view message) const {
  log_.event(telemetry::Level::info, message,
             {{"request_id", request.id}, {"first_request_id", answer.request_id}});
}

Repeats::Counts Repeats::counts() const {
  const auto of = [this](State state) {
    return counts_[static_cast<std::size_t>(state)].load(std::memory_order_relaxed);
  };
  return {of(State::first), of(State::answered), of(State::busy) + of(State::other),
          redelivered_.load(std::memory_order_relaxed)};
}

}  // namespace spillway
