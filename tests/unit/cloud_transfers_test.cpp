// How transfers behave in time: timeouts, cancellation, backpressure, limits, stopping.
#include "tests/unit/cloud_asking.h"

#include <gtest/gtest.h>

#include <atomic>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace spillway::test {
namespace {

using namespace std::chrono_literals;
using cloud::CloudThread;
using cloud::make_cloud_backend;

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const std::string kPiece =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"0123456789\"}}]}\n\n";
const std::string kEnd =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: [DONE]\n\n";

config::ProviderTarget quick_target(const RawProvider& provider) {
  config::ProviderTarget target = target_at(provider.base_url());
  target.timeouts = {100ms, 100ms, 100ms, 3'000ms};
  return target;
}

std::string message_of(const Answer& answer) { return answer.error ? answer.error->message : ""; }

// A provider that says `bytes` and then nothing, and notices when it is left.
struct Silent {
  explicit Silent(std::string said) : bytes(std::move(said)) {}

  const std::string bytes;
  std::atomic<int> left{0};
  RawProvider provider{[this](Exchange& exchange) {
    exchange.send(bytes);
    if (exchange.wait_for_close()) ++left;
    exchange.hang_up();
  }};
};

std::string cause_of_silence(const std::string& bytes, bool stream,
                             std::chrono::milliseconds total = 3'000ms) {
  Silent silent(bytes);
  CloudThread thread;
  config::ProviderTarget target = quick_target(silent.provider);
  target.timeouts.total = total;
  const auto backend = make_cloud_backend(target, thread);
  const Answer answer = ask(*backend, stream);
  EXPECT_EQ(answer.error ? answer.error->code : Errc::internal, Errc::backend_unavailable);
  EXPECT_TRUE(eventually([&] { return silent.left == 1; }));
  return message_of(answer);
}

TEST(CloudTimeouts, EachPhaseHasItsOwnCause) {
  EXPECT_EQ(cause_of_silence("", true), "hub: no first token within 100 ms");
  EXPECT_EQ(cause_of_silence(kStreamHead, true), "hub: no first token within 100 ms");
  EXPECT_EQ(cause_of_silence(kStreamHead + ": keep-alive\n\n", true),
            "hub: no first token within 100 ms");
  EXPECT_EQ(cause_of_silence(kStreamHead + kPiece, true), "hub: no further token within 100 ms");
  EXPECT_EQ(cause_of_silence("", false, 150ms), "hub: no end of its answer within 150 ms");
  EXPECT_EQ(cause_of_silence("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", false, 150ms),
            "hub: no end of its answer within 150 ms");
}

TEST(CloudTimeouts, APauseShorterThanTheFirstOneIsNoticedInTime) {
  Silent silent(kStreamHead + kPiece);
  CloudThread thread;
  config::ProviderTarget target = quick_target(silent.provider);
  target.timeouts.first_token = 60'000ms;
  target.timeouts.total = 60'000ms;
  EXPECT_EQ(message_of(ask(*make_cloud_backend(target, thread), true)),
            "hub: no further token within 100 ms");
}

// first_token 100 ms and four times 8 tokens at 100 a second.
TEST(CloudTimeouts, AWholeAnswerMayTakeAsLongAsItsTokens) {
  Silent silent("");
  CloudThread thread;
  config::ProviderTarget target = quick_target(silent.provider);
  target.measured.tokens_per_second = 100.0;
  const auto backend = make_cloud_backend(target, thread);
  auto request = std::make_shared<ChatRequest>(*chat(false));
  request->sampling.tokens_max = 8;
  EXPECT_EQ(message_of(Asking(*backend, request).read().answer()), "hub: no answer within 420 ms");
}

TEST(CloudTimeouts, AStreamThatNeverEndsDoes) {
  RawProvider provider([](Exchange& exchange) {
    exchange.send(kStreamHead);
    while (exchange.send(kPiece)) std::this_thread::yield();
    exchange.hang_up();
  });
  CloudThread thread;
  config::ProviderTarget target = quick_target(provider);
  target.timeouts.total = 200ms;
  EXPECT_EQ(message_of(ask(*make_cloud_backend(target, thread), true)),
            "hub: no end of its answer within 200 ms");
}

TEST(CloudConnect, ARefusedConnectionSaysSo) {
  std::string url;
  {
    url = RawProvider([](Exchange&) {}).base_url();
  }
  CloudThread thread;
  EXPECT_EQ(message_of(ask(*make_cloud_backend(target_at(url), thread), true)),
            "hub: it refuses connections or cannot be reached");
}

// A listener whose queue is full lets further connections hang.
TEST(CloudConnect, AConnectionThatHangsTimesOut) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, plain, size), 0);
  ASSERT_EQ(listen(listener, 0), 0);
  ASSERT_EQ(getsockname(listener, plain, &size), 0);
  std::vector<int> fillers;
  for (int i = 0; i < 3; ++i) {
    fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    connect(fillers.back(), plain, size);
  }
  CloudThread thread;
  config::ProviderTarget target =
      target_at("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/v1");
  target.timeouts.connect = 150ms;
  EXPECT_EQ(message_of(ask(*make_cloud_backend(target, thread), true)),
            "hub: no connection within 150 ms");
  for (const int filler : fillers) close(filler);
  close(listener);
}

TEST(CloudCancel, LeavingClosesTheConnectionInEveryPhase) {
  for (const std::string& said : {std::string(), kStreamHead, kStreamHead + kPiece}) {
    for (const bool stream : {true, false}) {
      Silent silent(said);
      CloudThread thread;
      const auto backend = make_cloud_backend(target_at(silent.provider.base_url()), thread);
      Asking asking(*backend, chat(stream));
      ASSERT_TRUE(eventually([&] { return silent.provider.requests() == 1; }));
      if (stream && said.ends_with("\n\n") && said.size() > kStreamHead.size()) asking.read(1);
      asking.drop();
      EXPECT_TRUE(eventually([&] { return silent.left == 1; })) << said;
    }
  }
}

TEST(CloudCancel, AStreamOutlivesItsBackend) {
  RawProvider provider([](Exchange& exchange) {
    exchange.send(kStreamHead + kPiece + kEnd);
    exchange.hang_up();
  });
  CloudThread thread;
  auto backend = make_cloud_backend(target_at(provider.base_url()), thread);
  Asking asking(*backend, chat(true));
  backend.reset();
  EXPECT_TRUE(asking.read().answer().whole);
}

// 40 MB for a client that does not read: what waits in this process is a Bridge and one read, so
// the provider gets no further than the kernel's buffers. That is no fault of the provider.
TEST(CloudBackpressure, AClientThatDoesNotReadStopsTheProvider) {
  constexpr int kPieces = 20'000;
  const std::string text(2'000, 'x');
  const std::string piece =
      R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n";
  std::atomic<int> sent{0};
  RawProvider provider([&](Exchange& exchange) {
    if (exchange.body.find("other") != std::string::npos) {
      exchange.send(kStreamHead + kPiece + kEnd);
      return exchange.hang_up();
    }
    exchange.send(kStreamHead);
    while (sent < kPieces && exchange.send(piece)) ++sent;
    exchange.send(kEnd);
    exchange.hang_up();
  });
  CloudThread thread;
  config::ProviderTarget target = quick_target(provider);
  target.timeouts.total = 60'000ms;
  const auto backend = make_cloud_backend(target, thread);

  Asking slow(*backend, chat(true));
  slow.read(1);
  int before = -1;
  const auto stalled = [&] {
    const int now = sent;
    const bool same = now == std::exchange(before, now);
    std::this_thread::sleep_for(same ? 0ms : 150ms);  // Longer than between_tokens.
    return same;
  };
  ASSERT_TRUE(eventually(stalled));
  EXPECT_LT(sent, kPieces / 2);
  EXPECT_TRUE(Asking(*backend, chat(true, "other")).read().answer().whole);

  const Answer& answer = slow.read().answer();
  EXPECT_TRUE(answer.whole) << message_of(answer);
  EXPECT_EQ(answer.text.size(), text.size() * kPieces);
}

TEST(CloudLimits, TakesItsConcurrencyAndNoMore) {
  constexpr int kMost = 256;
  std::atomic<bool> go{false};
  RawProvider provider([&go](Exchange& exchange) {
    eventually([&go] { return go.load(); });
    exchange.send(kStreamHead + kPiece + kEnd);
    exchange.hang_up();
  });
  CloudThread thread;
  const auto backend = make_cloud_backend(target_at(provider.base_url()), thread);
  std::vector<std::unique_ptr<Asking>> askings;
  for (int i = 0; i < kMost; ++i) {
    askings.push_back(std::make_unique<Asking>(*backend, chat(true)));
  }
  EXPECT_EQ(Asking(*backend, chat(true)).answer().error->code, Errc::overloaded);
  ASSERT_TRUE(eventually([&] { return provider.requests() == kMost; }));
  go = true;
  for (auto& asking : askings) EXPECT_TRUE(asking->read().answer().whole);
}

TEST(CloudLimits, APlaceIsFreeAsSoonAsTheAnswerIs) {
  RawProvider provider([](Exchange& exchange) {
    exchange.send(kStreamHead + kPiece + kEnd);
    exchange.wait_for_close();  // The body never ends.
    exchange.hang_up();
  });
  CloudThread thread;
  config::ProviderTarget target = target_at(provider.base_url());
  target.concurrency_max = 1;
  const auto backend = make_cloud_backend(target, thread);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(ask(*backend, true).whole);
}

TEST(CloudStop, FailsWhatIsOpenAndRefusesWhatComesAfter) {
  Silent silent(kStreamHead + kPiece);
  CloudThread thread;
  const auto backend = make_cloud_backend(target_at(silent.provider.base_url()), thread);
  Asking open(*backend, chat(true));
  open.read(1);
  thread.stop();
  EXPECT_EQ(message_of(open.read().answer()), "hub: the gateway is stopping");
  EXPECT_EQ(message_of(ask(*backend, true)), "hub: the gateway is stopping");
  EXPECT_TRUE(eventually([&] { return silent.left == 1; }));
  thread.stop();
}

}  // namespace
}  // namespace spillway::test
