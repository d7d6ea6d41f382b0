// Bodies that come piece by piece, and answers that are files: limits, what is left unread, clients
// that leave or dribble.
#include "gateway/http/body_reader.h"
#include "gateway/http/routes.h"
#include "gateway/http/server.h"
#include "tests/unit/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

namespace spillway::http {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using testing::Client;
using testing::get;
using testing::post;

constexpr std::uint64_t kBodyMax = 1 << 20;

std::atomic<std::size_t> largest_piece = 0;
std::atomic<bool> saw_client_leave = false;

// Says how much came and how it ended; a held body would be in `body`.
net::awaitable<void> take_all(Request request, ResponseWriter& out) {
  std::size_t bytes = request.body.size();
  std::string ended = "whole";
  while (true) {
    auto piece = co_await request.incoming->next();
    if (!piece) {
      ended = piece.error().message;
      saw_client_leave = piece.error().code == Errc::cancelled;
    }
    if (!piece || piece->empty()) break;
    bytes += piece->size();
    largest_piece = std::max<std::size_t>(largest_piece, piece->size());
  }
  std::string told = std::to_string(bytes) + " " + ended;
  co_await out.send(200, std::string("text/plain"), std::move(told));
}

net::awaitable<void> take_none(Request, ResponseWriter& out) {
  co_await out.send(401, std::string("text/plain"), std::string("who are you?"));
}

net::awaitable<void> give_file(Request, ResponseWriter& out) {
  co_await out.begin_file(std::string("application/octet-stream"), 10);
  co_await out.write(std::string("01234"));
  co_await out.end(std::string("56789"));
}

net::awaitable<void> give_half_a_file(Request, ResponseWriter& out) {
  co_await out.begin_file(std::string("application/octet-stream"), 10);
  co_await out.end(std::string("01234"));
}

class HttpBody : public ::testing::Test {
 protected:
  HttpBody() {
    routes_.add_streamed("POST", "/take", kBodyMax, take_all);
    routes_.add_streamed("POST", "/none", kBodyMax, take_none);
    routes_.add("GET", "/file", give_file);
    routes_.add("GET", "/half", give_half_a_file);
    start(testing::options_for_test());
  }

  void start(ServerOptions options) {
    options.streamed_body_max = [this](const Request& head) {
      return routes_.streamed_body_max(head);
    };
    const auto serve = [this](Request request, ResponseWriter& out) {
      return routes_.serve(std::move(request), out);
    };
    server_ = std::make_unique<Server>(std::move(options), serve, testing::plain_error);
    ASSERT_TRUE(server_->start());
  }

  Routes routes_{testing::plain_error};
  std::unique_ptr<Server> server_;
};

TEST_F(HttpBody, ComesInPiecesUpToTheRoutesLimit) {
  Client client(server_->port());
  client.send(post("/take", std::string(kBodyMax, 'x')));
  EXPECT_EQ(client.read().body, std::to_string(kBodyMax) + " whole");
  EXPECT_LE(largest_piece, 300u << 10);
  client.send(post("/take", ""));
  EXPECT_EQ(client.read().body, "0 whole");
}

TEST_F(HttpBody, PastTheLimitIsRefusedBeforeItIsRead) {
  Client client(server_->port());
  client.send("POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kBodyMax + 1) +
              "\r\n\r\n");
  EXPECT_EQ(client.read().status, 413);
}

TEST_F(HttpBody, ChunksCountAgainstTheLimit) {
  const std::string head = "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string whole = "80000\r\n" + std::string(0x80000, 'x') + "\r\n";
  Client client(server_->port());
  client.send(head + whole + whole + "0\r\n\r\n");
  EXPECT_EQ(client.read().body, std::to_string(kBodyMax) + " whole");
  client.send(head + whole + whole + "1\r\nx\r\n0\r\n\r\n");
  EXPECT_NE(client.read().body.find("larger than"), std::string::npos);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpBody, RequestsFollowOneAnother) {
  Client client(server_->port());
  client.send(post("/take", "abc") + post("/take", "defg"));
  EXPECT_EQ(client.read().body, "3 whole");
  EXPECT_EQ(client.read().body, "4 whole");
}

TEST_F(HttpBody, LeftUnreadItEndsTheConnectionBehindTheAnswer) {
  Client client(server_->port());
  client.send("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  const auto answer = client.read();
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpBody, WhoAsksFirstIsAnsweredWithoutIt) {
  const std::string asks =
      " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
  Client refused(server_->port());
  refused.send("POST /none" + asks);
  EXPECT_EQ(refused.read().status, 401);
  Client taken(server_->port());
  taken.send("POST /take" + asks);
  EXPECT_EQ(taken.read_raw(), "HTTP/1.1 100 Continue\r\n\r\n");
  taken.send("abc");
  EXPECT_EQ(taken.read().body, "3 whole");
}

TEST_F(HttpBody, BrokenChunksAreTold) {
  Client client(server_->port());
  client.send("POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_NE(client.read().body.find("malformed"), std::string::npos);
}

TEST_F(HttpBody, AClientThatLeavesIsNoticed) {
  saw_client_leave = false;
  Client client(server_->port());
  client.send("POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  client.finish_sending();
  EXPECT_TRUE(testing::eventually([] { return saw_client_leave.load(); }));
  EXPECT_TRUE(testing::eventually([this] { return server_->counters().client_gone == 1; }));
}

TEST_F(HttpBody, AClientThatDribblesIsEnded) {
  ServerOptions options = testing::options_for_test();
  options.limits.body_timeout = 100ms;
  start(std::move(options));
  Client client(server_->port());
  client.send("POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  EXPECT_NE(client.read().body.find("did not arrive in time"), std::string::npos);
}

TEST_F(HttpBody, AFileIsExactlyAsLongAsAnnounced) {
  Client client(server_->port());
  client.send(get("/file"));
  const auto file = client.read();
  EXPECT_EQ(file.body, "0123456789");
  EXPECT_EQ(file.header("content-length"), "10");
  client.send("HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read(true).header("content-length"), "10");
  client.send(get("/half"));
  EXPECT_TRUE(client.read().cut);
}

}  // namespace
}  // namespace spillway::http
