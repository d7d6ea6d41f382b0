// What a provider's bytes become: whole answers, streams, cuts, refusals.
#include "tests/unit/cloud_asking.h"

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

namespace spillway::test {
namespace {

using namespace std::chrono_literals;
using cloud::CloudThread;
using cloud::make_cloud_backend;

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kLastChunk = "0\r\n\r\n";
const std::string kDone = "data: [DONE]\n\n";

std::string chunked(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

std::string event(const std::string& delta, const std::string& finish = "null") {
  return R"(data: {"choices":[{"index":0,"delta":{)" + delta + R"(},"finish_reason":)" + finish +
         "}]}\n\n";
}

std::string text_event(const std::string& text) { return event(R"("content":")" + text + '"'); }

const std::string kFinish = event("", R"("stop")");
const std::string kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

std::string whole_stream() {
  return kStreamHead + chunked(event(R"("role":"assistant","content":"")")) +
         chunked(text_event("Hello")) + chunked(text_event(" world")) + chunked(kFinish + kUsage) +
         chunked(kDone);
}

std::string plain(int status, const std::string& type, const std::string& body,
                  const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type + "\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kWholeBody =
    R"({"choices":[{"index":0,"message":{"role":"assistant","content":"Hello world"},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}})";

// One provider that answers each request with the same bytes, hanging up afterwards if told so.
class CloudAnswers : public ::testing::Test {
 protected:
  Answer ask_for(std::string bytes, bool stream, bool hang_up = true) {
    {
      std::lock_guard lock(mutex_);
      bytes_ = std::move(bytes);
      hang_up_ = hang_up;
    }
    return ask(*backend_, stream);
  }

  void answer(Exchange& exchange) {
    std::lock_guard lock(mutex_);
    last_head_ = exchange.head;
    last_body_ = exchange.body;
    if (hang_up_) exchange.hang_up();
    exchange.send(bytes_);
  }

  std::mutex mutex_;
  std::string bytes_;
  std::string last_head_;
  std::string last_body_;
  bool hang_up_ = false;
  RawProvider provider_{[this](Exchange& exchange) { answer(exchange); }};
  CloudThread thread_;
  std::unique_ptr<Backend> backend_ = make_cloud_backend(target_at(provider_.base_url()), thread_);
};

void expect_hello(const Answer& answer) {
  EXPECT_TRUE(answer.whole) << (answer.error ? answer.error->message : "");
  EXPECT_EQ(answer.text, "Hello world");
  EXPECT_EQ(answer.finish, FinishReason::stop);
  ASSERT_TRUE(answer.usage);
  EXPECT_EQ(answer.usage->prompt_tokens, 3);
  EXPECT_EQ(answer.usage->completion_tokens, 2);
}

void expect_failure(const Answer& answer, Errc code, const std::string& cause) {
  ASSERT_TRUE(answer.error) << cause;
  EXPECT_EQ(answer.error->code, code);
  EXPECT_NE(answer.error->message.find(cause), std::string::npos) << answer.error->message;
  EXPECT_FALSE(answer.whole);
}

TEST_F(CloudAnswers, AStream) {
  expect_hello(ask_for(whole_stream() + kLastChunk, true));
  std::lock_guard lock(mutex_);
  EXPECT_NE(last_head_.find("POST /v1/chat/completions HTTP/1.1\r\n"), std::string::npos);
  EXPECT_NE(last_head_.find("Authorization: Bearer sk-test-key\r\n"), std::string::npos);
  EXPECT_NE(last_body_.find(R"("stream":true)"), std::string::npos);
}

TEST_F(CloudAnswers, AWholeAnswerInOnePiece) {
  const Answer answer = ask_for(plain(200, "application/json", kWholeBody), false);
  expect_hello(answer);
  EXPECT_EQ(answer.deltas, 1);
  std::lock_guard lock(mutex_);
  EXPECT_EQ(last_body_.find("stream"), std::string::npos);
}

TEST_F(CloudAnswers, EmptyLinesBeforeAWholeAnswerAreSkipped) {
  expect_hello(ask_for(plain(200, "application/json", "\n\r\n \n" + kWholeBody), false));
}

TEST_F(CloudAnswers, TheMediaTypeDecidesNotTheRequest) {
  expect_hello(ask_for(plain(200, "application/json; charset=utf-8", kWholeBody), true));
  expect_hello(ask_for(whole_stream() + kLastChunk, false));
}

TEST_F(CloudAnswers, AStreamThatEndsWithTheConnection) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  const std::string events = text_event("Hello world") + kFinish + kUsage;
  expect_hello(ask_for(head + events + kDone, true));
  expect_failure(ask_for(head + events, true), Errc::backend_unavailable, "without [DONE]");
}

TEST_F(CloudAnswers, OneConnectionServesManyRequests) {
  for (int i = 0; i < 20; ++i) {
    expect_hello(ask_for(whole_stream() + kLastChunk, true, false));
    expect_hello(ask_for(plain(200, "application/json", kWholeBody), false, false));
    ask_for(plain(400, "application/json", R"({"error":{"message":"no"}})"), false, false);
  }
  EXPECT_EQ(provider_.requests(), 60);
  EXPECT_EQ(provider_.connections(), 1);
}

// Every byte at which a connection can break: nothing before [DONE] is a whole answer.
TEST_F(CloudAnswers, AStreamCutAnywhereIsAnError) {
  const std::string all = whole_stream();
  const std::size_t answered = all.find(kDone) + kDone.size();
  for (std::size_t cut = 0; cut < all.size(); ++cut) {
    const Answer answer = ask_for(all.substr(0, cut), true);
    if (cut >= answered) {
      expect_hello(answer);
      continue;
    }
    EXPECT_FALSE(answer.whole) << cut;
    ASSERT_TRUE(answer.error) << cut;
    EXPECT_EQ(answer.error->code, Errc::backend_unavailable) << cut;
  }
}

TEST_F(CloudAnswers, AWholeAnswerCutAnywhereIsAnError) {
  const std::string all = plain(200, "application/json", kWholeBody);
  for (std::size_t cut = 0; cut < all.size(); ++cut) {
    const Answer answer = ask_for(all.substr(0, cut), false);
    ASSERT_TRUE(answer.error) << cut;
    EXPECT_EQ(answer.error->code, Errc::backend_unavailable) << cut;
    EXPECT_EQ(answer.deltas, 0) << cut;
  }
}

TEST_F(CloudAnswers, ALieAboutTheLengthIsAnError) {
  const auto with_length = [](std::size_t length) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(length) + "\r\n\r\n" + kWholeBody;
  };
  expect_failure(ask_for(with_length(kWholeBody.size() + 1), false), Errc::backend_unavailable,
                 "middle of its answer");
  expect_failure(ask_for(with_length(kWholeBody.size() - 1), false), Errc::backend_unavailable,
                 "not a chat completion");
  expect_failure(ask_for(kStreamHead + "zz\r\n" + kWholeBody, true), Errc::backend_unavailable,
                 "middle of its answer");
}

TEST_F(CloudAnswers, StreamsThatLookCompleteButAreNot) {
  const std::string hello = kStreamHead + chunked(text_event("Hello"));
  expect_failure(ask_for(hello + chunked(kFinish) + kLastChunk, true), Errc::backend_unavailable,
                 "without [DONE]");
  expect_failure(ask_for(hello + chunked(kDone) + kLastChunk, true), Errc::backend_unavailable,
                 "before the answer did");
  expect_failure(ask_for(kStreamHead + chunked(kDone) + kLastChunk, true),
                 Errc::backend_unavailable, "before the answer did");
  expect_failure(ask_for(hello + chunked("data: {\"choi\n\n"), true), Errc::backend_unavailable,
                 "malformed event");
}

TEST_F(CloudAnswers, AnErrorInsideAStreamIsAnError) {
  const std::string hello = kStreamHead + chunked(text_event("Hello"));
  const Answer answer = ask_for(
      hello + chunked("data: {\"error\":{\"message\":\"GPU fell off\"}}\n\n") + kLastChunk, true);
  expect_failure(answer, Errc::backend_unavailable, "GPU fell off");
  EXPECT_EQ(answer.text, "Hello");
  expect_failure(ask_for(hello + chunked("event: error\ndata: {\"message\":\"named\"}\n\n"), true),
                 Errc::backend_unavailable, "named");
}

// What it bills is owed, whatever becomes of the answer.
TEST_F(CloudAnswers, WhatIsBilledIsToldBeforeAFailure) {
  const std::string hello = kStreamHead + chunked(text_event("Hello"));
  const auto expect_billed = [](const Answer& answer, const std::string& cause) {
    expect_failure(answer, Errc::backend_unavailable, cause);
    ASSERT_TRUE(answer.usage) << cause;
    EXPECT_EQ(answer.usage->prompt_tokens, 3) << cause;
  };
  const std::string error = chunked(event("", R"("error")"));
  expect_billed(ask_for(hello + error + chunked(kUsage) + chunked(kDone) + kLastChunk, true),
                "ended with error");
  expect_failure(ask_for(hello + error + chunked(kDone) + kLastChunk, true),
                 Errc::backend_unavailable, "ended with error");
  expect_failure(ask_for(hello + error + kLastChunk, true), Errc::backend_unavailable,
                 "ended with error");
  expect_failure(ask_for(hello + error, true), Errc::backend_unavailable, "ended with error");
  std::string useless = kWholeBody;
  useless.replace(useless.find("\"stop\""), 6, "null");
  expect_billed(ask_for(plain(200, "application/json", useless), false), "not a chat completion");
  // The last event, without the blank line behind it.
  const std::string cut = kUsage.substr(0, kUsage.size() - 2);
  for (const char* end : {"", "\n"})
    expect_billed(ask_for(hello + chunked(kFinish) + chunked(cut + end) + kLastChunk, true),
                  "without [DONE]");
  const Answer torn =
      ask_for(hello + chunked(kFinish) + chunked(cut.substr(0, cut.size() - 1)) + kLastChunk, true);
  expect_failure(torn, Errc::backend_unavailable, "without [DONE]");
  EXPECT_FALSE(torn.usage);
  EXPECT_TRUE(ask_for(hello + chunked(kFinish + "data: [DONE]") + kLastChunk, true).whole);
}

TEST_F(CloudAnswers, RefusalsSayWhoseFaultTheyAre) {
  const std::string error = R"({"error":{"message":"bad n","code":null}})";
  expect_failure(ask_for(plain(400, "application/json", error), true), Errc::invalid_request,
                 "bad n");
  expect_failure(ask_for(plain(401, "application/json", error), true), Errc::account_refused,
                 "401");
  expect_failure(ask_for(plain(503, "application/json", error), true), Errc::overloaded,
                 "503: bad n");
  const Answer limited =
      ask_for(plain(429, "application/json", error, "Retry-After-Ms: 250\r\n"), true);
  expect_failure(limited, Errc::rate_limited, "rate limit");
  EXPECT_EQ(limited.error->retry_after, 250ms);
}

TEST_F(CloudAnswers, RedirectsAreNotFollowed) {
  const std::string there = "Location: " + provider_.base_url() + "/elsewhere\r\n";
  expect_failure(ask_for(plain(307, "text/plain", "", there), true), Errc::backend_unavailable,
                 "redirects");
  EXPECT_EQ(provider_.requests(), 1);
}

TEST_F(CloudAnswers, WhatIsNoAnswerIsAnError) {
  expect_failure(ask_for(plain(200, "text/html", "<html>hi</html>"), true),
                 Errc::backend_unavailable, "not a chat completion");
  expect_failure(ask_for(plain(200, "application/json", ""), false), Errc::backend_unavailable,
                 "not a chat completion");
  expect_failure(ask_for("SSH-2.0-OpenSSH_9.2\r\n", false), Errc::backend_unavailable,
                 "cannot be read");
  expect_failure(ask_for("", false), Errc::backend_unavailable, "broke before its answer");
}

TEST_F(CloudAnswers, EndlessHeadsLinesAndAnswersAreCutOff) {
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 300; ++i) head += "x: " + std::string(1'000, 'y') + "\r\n";
  expect_failure(ask_for(head + "\r\n", false), Errc::backend_unavailable, "headers are too large");
  expect_failure(ask_for("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " +
                             std::string(9 << 20, 'x'),
                         true),
                 Errc::backend_unavailable, "event of its stream is too large");
  expect_failure(ask_for("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" +
                             std::string(33 << 20, 'x'),
                         false),
                 Errc::backend_unavailable, "answer is too large");
  expect_failure(ask_for("HTTP/1.1 500 No\r\n\r\n" + std::string(1 << 20, 'x'), false),
                 Errc::backend_unavailable, "500");
}

TEST(CloudBackend, RefusesToBeMadeForWhatItDoesNotKnow) {
  CloudThread thread;
  config::ProviderTarget target = target_at("ftp://127.0.0.1/v1");
  EXPECT_THROW(make_cloud_backend(target, thread), std::invalid_argument);
  target = target_at("http://127.0.0.1/v1");
  target.dialect = "esperanto";
  EXPECT_THROW(make_cloud_backend(target, thread), std::invalid_argument);
}

}  // namespace
}  // namespace spillway::test
