// How the cloud tests ask a backend and what they note of its answer.
//
// Each Asking has an io_context of its own, run by the calling thread only.
#pragma once

#include "backends/cloud/cloud_backend.h"
#include "tests/unit/raw_provider.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace spillway::test {

struct Answer {
  std::string text;
  std::string extra;
  std::optional<FinishReason> finish;
  std::optional<Usage> usage;
  std::optional<Error> error;
  int deltas = 0;
  bool whole = false;  // Ended without an error.
};

inline std::shared_ptr<const ChatRequest> chat(bool stream, std::string content = "hi") {
  auto request = std::make_shared<ChatRequest>();
  request->stream = stream;
  request->body = R"({"messages":[{"role":"user","content":")" + content + R"("}]})";
  return request;
}

inline config::ProviderTarget target_at(const std::string& base_url) {
  config::ProviderTarget target;
  target.name = "hub";
  target.base_urls = {base_url};
  target.key = "sk-test-key";
  return target;
}

// A request under way, in the caller's hands.
class Asking {
 public:
  Asking(Backend& backend, std::shared_ptr<const ChatRequest> request) {
    boost::asio::co_spawn(context_, open(backend, std::move(request)), boost::asio::detached);
    run();
  }

  // Reads at most `deltas` pieces more.
  Asking& read(int deltas = 1 << 20) {
    if (stream_) boost::asio::co_spawn(context_, take(deltas), boost::asio::detached);
    run();
    return *this;
  }

  // The client hangs up.
  void drop() { stream_.reset(); }

  const Answer& answer() const { return answer_; }

 private:
  void run() {
    context_.restart();
    context_.run();
  }

  boost::asio::awaitable<void> open(Backend& backend, std::shared_ptr<const ChatRequest> request) {
    Terms terms{"model", SteadyClock::now() + kPatience};
    auto stream = co_await backend.open(std::move(request), std::move(terms));
    if (stream) {
      stream_ = std::move(*stream);
    } else {
      answer_.error = stream.error();
    }
  }

  boost::asio::awaitable<void> take(int deltas) {
    const Deadline deadline = SteadyClock::now() + kPatience;
    while (deltas-- > 0) {
      auto piece = co_await stream_->next(deadline);
      if (!piece) {
        answer_.error = piece.error();
        co_return;
      }
      answer_.whole = !piece->has_value();
      if (answer_.whole) co_return;
      note(**piece);
    }
  }

  void note(const Delta& delta) {
    ++answer_.deltas;
    answer_.text += delta.text;
    answer_.extra += delta.extra;
    if (delta.finish) answer_.finish = delta.finish;
    if (delta.usage) answer_.usage = delta.usage;
  }

  boost::asio::io_context context_{1};
  std::unique_ptr<TokenStream> stream_;
  Answer answer_;
};

inline Answer ask(Backend& backend, bool stream) {
  return Asking(backend, chat(stream)).read().answer();
}

}  // namespace spillway::test
