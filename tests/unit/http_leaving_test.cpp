// Clients that leave or do not read, and a server that leaves: in each case the handler runs to its
// end, and knows.
#include "gateway/http/server.h"
#include "tests/unit/http_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace spillway::http {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using testing::Client;
using testing::eventually;
using testing::get;

// What handlers of all tests report; reset by each test.
struct Seen {
  std::atomic<int> started{0};
  std::atomic<int> accounted{0};  // Ran to their end, with an await after the cancellation.
  std::atomic<int> cancelled{0};
  std::atomic<int> slow{0};
  std::atomic<int> destroyed{0};
  std::atomic<bool> released{false};
};
Seen seen;

struct Leaver {
  ~Leaver() { ++seen.destroyed; }
};

void note(const Result<void>& outcome) {
  if (outcome) return;
  if (outcome.error().code == Errc::cancelled) ++seen.cancelled;
  if (outcome.error().code == Errc::slow_client) ++seen.slow;
}

net::awaitable<void> account() {
  co_await net::post(co_await net::this_coro::executor, net::use_awaitable);
  ++seen.accounted;
}

// Waits for a first token that never comes, then answers whole.
net::awaitable<void> waiting(Request, ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  const Leaver leaver;
  ++seen.started;
  net::steady_timer timer(co_await net::this_coro::executor, 1h);
  co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  note(co_await out.send(200, std::string("text/plain"), std::string("too late")));
  co_await account();
}

// Streams an event each millisecond for as long as somebody listens.
net::awaitable<void> ticking(Request, ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  ++seen.started;
  net::steady_timer timer(co_await net::this_coro::executor);
  Result<void> outcome = co_await out.begin_stream();
  while (outcome && !seen.released) {
    outcome = co_await out.write(std::string("data: tick\n\n"));
    timer.expires_after(1ms);
    co_await timer.async_wait(net::as_tuple(net::use_awaitable));
  }
  if (outcome) outcome = co_await out.end(std::string("data: [DONE]\n\n"));
  note(outcome);
  co_await account();
}

// More than any socket buffers, in one answer or in events.
net::awaitable<void> large(Request request, ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  ++seen.started;
  Result<void> outcome;
  if (request.path == "/whole") {
    std::string body(32 << 20, 'x');
    outcome = co_await out.send(200, std::string("text/plain"), std::move(body));
  } else {
    outcome = co_await out.begin_stream();
    for (int i = 0; i < 2'000 && outcome; ++i) {
      outcome = co_await out.write(std::string(16 << 10, 'x'));
    }
  }
  note(outcome);
  co_await account();
}

net::awaitable<void> stuck(Request, ResponseWriter&) {
  co_await net::this_coro::throw_if_cancelled(false);
  const Leaver leaver;
  ++seen.started;
  net::steady_timer timer(co_await net::this_coro::executor, 1h);
  while (true) co_await timer.async_wait(net::as_tuple(net::use_awaitable));
}

net::awaitable<void> quick(Request, ResponseWriter& out) {
  co_await out.send(200, std::string("text/plain"), std::string("quick"));
}

net::awaitable<void> dispatch(Request request, ResponseWriter& out) {
  if (request.path == "/waiting") return waiting(std::move(request), out);
  if (request.path == "/ticking") return ticking(std::move(request), out);
  if (request.path == "/quick") return quick(std::move(request), out);
  if (request.path == "/stuck") return stuck(std::move(request), out);
  return large(std::move(request), out);
}

class HttpLeaving : public ::testing::Test {
 protected:
  HttpLeaving() {
    seen.started = seen.accounted = seen.cancelled = seen.slow = seen.destroyed = 0;
    seen.released = false;
  }

  void start(ServerOptions options = testing::options_for_test()) {
    server_ = std::make_unique<Server>(std::move(options), dispatch, testing::plain_error);
    ASSERT_TRUE(server_->start());
  }

  const Counters& counters() const { return server_->counters(); }

  std::unique_ptr<Server> server_;
};

TEST_F(HttpLeaving, AHangUpBeforeTheFirstTokenCancelsAtOnce) {
  start();
  for (const bool hard : {false, true}) {
    Client client(server_->port());
    client.send(get("/waiting"));
    ASSERT_TRUE(eventually([] { return seen.started == 1; }));
    hard ? client.reset() : client.finish_sending();
    EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
    EXPECT_EQ(seen.cancelled, 1);
    seen.started = seen.accounted = seen.cancelled = 0;
  }
  EXPECT_TRUE(eventually([this] { return counters().open_connections == 0; }));
  EXPECT_EQ(counters().client_gone, 2u);
}

TEST_F(HttpLeaving, AHangUpMidStreamCancelsAtOnce) {
  start();
  for (const bool hard : {false, true}) {
    Client client(server_->port());
    client.send(get("/ticking"));
    EXPECT_NE(client.read_raw(), "");
    hard ? client.reset() : client.finish_sending();
    EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
    EXPECT_EQ(seen.cancelled, 1);
    seen.accounted = seen.cancelled = 0;
  }
  EXPECT_TRUE(eventually([this] { return counters().client_gone == 2; }));
}

TEST_F(HttpLeaving, AHangUpDuringALargeAnswerCancels) {
  start();
  for (const char* path : {"/whole", "/events"}) {
    Client client(server_->port(), 4'096);
    client.send(get(path));
    EXPECT_NE(client.read_raw(), "");
    client.reset();
    EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
    EXPECT_EQ(seen.cancelled, 1) << path;
    seen.accounted = seen.cancelled = 0;
  }
}

TEST_F(HttpLeaving, AHangUpBehindAPipelinedRequestIsSeen) {
  start();
  Client client(server_->port());
  client.send(get("/waiting") + get("/waiting"));
  ASSERT_TRUE(eventually([] { return seen.started == 1; }));
  client.finish_sending();
  EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
  EXPECT_TRUE(eventually([this] { return counters().open_connections == 0; }));
  EXPECT_EQ(seen.started, 1);
}

TEST_F(HttpLeaving, AHangUpAfterBytesThatCameEarlyIsSeen) {
  start();
  Client client(server_->port());
  client.send(get("/waiting"));
  ASSERT_TRUE(eventually([] { return seen.started == 1; }));
  client.send(get("/waiting"));
  client.finish_sending();
  EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
  EXPECT_TRUE(eventually([this] { return counters().open_connections == 0; }));
  EXPECT_EQ(seen.started, 1);
}

TEST_F(HttpLeaving, AClientThatDoesNotReadIsSlow) {
  auto options = testing::options_for_test();
  options.limits.write_timeout = 80ms;
  start(options);
  for (const char* path : {"/whole", "/events"}) {
    Client client(server_->port(), 4'096);
    client.send(get(path));
    EXPECT_TRUE(eventually([] { return seen.accounted == 1; }));
    EXPECT_EQ(seen.slow, 1) << path;
    EXPECT_EQ(seen.cancelled, 0) << path;
    seen.accounted = seen.slow = 0;
  }
  EXPECT_TRUE(eventually([this] { return counters().slow_clients == 2; }));
  EXPECT_EQ(counters().client_gone, 0u);
}

TEST_F(HttpLeaving, DrainFinishesWhatRunsAndRefusesTheRest) {
  auto options = testing::options_for_test();
  options.workers = 1;
  start(options);
  Client running(server_->port()), idle(server_->port()), halfway(server_->port());
  running.send(get("/ticking"));
  EXPECT_NE(running.read_raw(), "");
  halfway.send("GET /waiting HTTP/1.1\r\n");
  ASSERT_TRUE(eventually([this] { return counters().open_connections == 3; }));
  // The only worker has read the half request once it has answered one that was sent later.
  idle.send(get("/quick"));
  EXPECT_EQ(idle.read().status, 200);
  server_->begin_drain();
  EXPECT_TRUE(idle.closed());
  halfway.send("Host: a\r\n\r\n");
  const auto refused = halfway.read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_EQ(counters().drained, 1u);
  EXPECT_FALSE(server_->wait_idle(SteadyClock::now()));
  seen.released = true;
  EXPECT_TRUE(server_->wait_idle(SteadyClock::now() + 10s));
  EXPECT_EQ(seen.accounted, 1);
  EXPECT_EQ(seen.cancelled, 0);
  std::string rest, more;
  while (!(more = running.read_raw()).empty()) rest += more;
  EXPECT_TRUE(rest.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
  Client late(server_->port());
  EXPECT_FALSE(late.connected());
}

TEST_F(HttpLeaving, StopCancelsWhatRunsAndLetsItAccount) {
  start();
  Client waiting_client(server_->port()), ticking_client(server_->port());
  waiting_client.send(get("/waiting"));
  ticking_client.send(get("/ticking"));
  ASSERT_TRUE(eventually([] { return seen.started == 2; }));
  server_->stop();
  EXPECT_EQ(seen.accounted, 2);
  EXPECT_EQ(seen.cancelled, 2);
  EXPECT_EQ(counters().open_connections, 0);
}

TEST_F(HttpLeaving, StopDoesNotWaitForeverForAStuckHandler) {
  start();
  Client client(server_->port());
  client.send(get("/stuck"));
  ASSERT_TRUE(eventually([] { return seen.started == 1; }));
  server_->stop(30ms);
  server_.reset();
  EXPECT_EQ(seen.destroyed, 1);
}

// Takes every descriptor the process may still open, and gives them back.
class DescriptorFamine {
 public:
  DescriptorFamine() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit tight{64, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &tight);
    for (int taken = ::dup(0); taken >= 0; taken = ::dup(0)) taken_.push_back(taken);
  }
  ~DescriptorFamine() {
    for (const int descriptor : taken_) ::close(descriptor);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  DescriptorFamine(const DescriptorFamine&) = delete;
  DescriptorFamine& operator=(const DescriptorFamine&) = delete;

  void spare_one() {
    ::close(taken_.back());
    taken_.pop_back();
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

TEST_F(HttpLeaving, SurvivesAProcessOutOfDescriptors) {
  start();
  bool dropped = false;
  // An attempt is spoiled where the famine takes what the listener has just freed, or a sanitizer
  // opens and closes descriptors of its own.
  for (int attempt = 0; attempt < 50 && !dropped; ++attempt) {
    Client healthy(server_->port());
    healthy.send(get("/quick"));
    ASSERT_EQ(healthy.read().status, 200);

    const auto errors = counters().accept_errors.load();
    DescriptorFamine famine;
    famine.spare_one();  // For the client's own socket.
    if (counters().accept_errors != errors) continue;
    const auto accepted = counters().accepted.load();
    Client client(server_->port());
    if (!client.connected()) continue;
    ASSERT_TRUE(eventually(
        [&] { return counters().accept_errors > errors || counters().accepted > accepted; }));
    if (counters().accept_errors > errors) dropped = client.closed();
  }
  EXPECT_TRUE(dropped);
  Client client(server_->port());
  client.send(get("/quick"));
  EXPECT_EQ(client.read().status, 200);
}

}  // namespace
}  // namespace spillway::http
