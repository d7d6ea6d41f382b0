// The server over real sockets: framing, keep-alive, limits, timeouts, and what it says when it
// refuses.
#include "gateway/http/routes.h"
#include "gateway/http/server.h"
#include "tests/unit/http_client.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace spillway::http {
namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using testing::Client;
using testing::get;
using testing::post;

net::awaitable<void> echo(Request request, ResponseWriter& out) {
  out.set_header("x-peer", request.peer);
  out.set_header("x-odd", "a\r\nb");
  std::string body = request.method + " " + request.path + " " + request.tail + " " + request.body;
  co_await out.send(200, std::string("text/plain"), std::move(body));
}

net::awaitable<void> stream(Request, ResponseWriter& out) {
  co_await out.begin_stream();
  co_await out.write(std::string("data: 1\n\n"));
  co_await out.write(std::string("data: 2\n\n"));
  co_await out.end(std::string("data: [DONE]\n\n"));
}

net::awaitable<void> cut_stream(Request, ResponseWriter& out) {
  co_await out.begin_stream();
  co_await out.write(std::string("data: 1\n\n"));
}

net::awaitable<void> silent(Request, ResponseWriter&) { co_return; }

net::awaitable<void> throwing(Request, ResponseWriter&) {
  throw std::runtime_error("secret");
  co_return;
}

net::awaitable<void> later(Request, ResponseWriter& out) {
  net::steady_timer timer(co_await net::this_coro::executor, 20ms);
  co_await timer.async_wait(net::use_awaitable);
  co_await out.send(200, std::string("text/plain"), std::string("later"));
}

Routes all_routes() {
  Routes routes(testing::plain_error);
  routes.add("POST", "/echo", echo);
  routes.add("GET", "/echo", echo);
  routes.add("GET", "/models/{id}", echo);
  routes.add("POST", "/models/{id}/cancel", echo);
  routes.add("GET", "/stream", stream);
  routes.add("GET", "/cut", cut_stream);
  routes.add("GET", "/silent", silent);
  routes.add("GET", "/throw", throwing);
  routes.add("GET", "/later", later);
  return routes;
}

class HttpServer : public ::testing::Test {
 protected:
  void start(ServerOptions options = testing::options_for_test()) {
    const auto serve = [this](Request request, ResponseWriter& out) {
      return routes_.serve(std::move(request), out);
    };
    server_ = std::make_unique<Server>(std::move(options), serve, testing::plain_error);
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message;
  }

  std::uint64_t rejects(Reject reason) const {
    return server_->counters().parse_rejects[static_cast<std::size_t>(reason)];
  }

  Routes routes_ = all_routes();
  std::unique_ptr<Server> server_;
};

TEST_F(HttpServer, AnswersWithWhatEveryAnswerHas) {
  start();
  Client client(server_->port());
  client.send(post("/echo", "hello"));
  const auto response = client.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "POST /echo  hello");
  EXPECT_EQ(response.header("x-request-id").substr(0, 4), "req_");
  EXPECT_EQ(response.header("x-request-id").size(), 28u);
  EXPECT_NE(response.header("date"), "");
  EXPECT_EQ(response.header("server"), "");
  EXPECT_EQ(response.header("x-odd"), "a  b");
  EXPECT_EQ(response.header("x-peer").substr(0, 10), "127.0.0.1:");
}

TEST_F(HttpServer, KeepsTheConnectionAfterAnswersErrorsAndStreams) {
  start();
  Client client(server_->port());
  for (const char* path : {"/echo", "/nothing", "/stream", "/throw", "/silent", "/echo"}) {
    client.send(get(path));
    EXPECT_NE(client.read().status, 0) << path;
  }
  EXPECT_EQ(server_->counters().accepted, 1u);
  EXPECT_EQ(server_->counters().handler_faults, 1u);
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  start();
  Client client(server_->port());
  client.send(get("/later") + post("/echo", "2") + get("/stream") + get("/echo"));
  EXPECT_EQ(client.read().body, "later");
  EXPECT_EQ(client.read().body, "POST /echo  2");
  EXPECT_EQ(client.read().body, "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
  EXPECT_EQ(client.read().body, "GET /echo  ");
}

TEST_F(HttpServer, StreamsInChunksWithTheEndInOneWrite) {
  start();
  Client client(server_->port());
  client.send(get("/stream"));
  const auto response = client.read();
  EXPECT_EQ(response.header("content-type"), "text/event-stream");
  EXPECT_EQ(response.header("cache-control"), "no-cache");
  EXPECT_EQ(response.header("content-length"), "");
  EXPECT_EQ(response.framing,
            "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

TEST_F(HttpServer, AStreamWithoutItsEndIsSeenAsCut) {
  start();
  Client client(server_->port());
  client.send(get("/cut"));
  const auto response = client.read();
  EXPECT_EQ(response.body, "data: 1\n\n");
  EXPECT_TRUE(response.cut);
}

TEST_F(HttpServer, HandlersThatFailAreAnswered500WithoutDetails) {
  start();
  for (const char* path : {"/silent", "/throw"}) {
    Client client(server_->port());
    client.send(get(path));
    const auto response = client.read();
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(response.body.find("secret"), std::string::npos);
  }
}

TEST_F(HttpServer, WhoWritesARefusalIsToldWhatItsClientSpeaks) {
  ServerOptions options = testing::options_for_test();
  options.spoken_header = "tongue";
  start(std::move(options));
  Client client(server_->port());
  for (const char* said : {"latin", ""}) {
    const std::string line = *said == '\0' ? "" : "Tongue: " + std::string(said) + "\r\n";
    client.send(get("/throw", line));
    EXPECT_EQ(client.read().header("refused-spoken"), said);
  }
}

TEST_F(HttpServer, HonoursConnectionClose) {
  start();
  Client client(server_->port());
  client.send(get("/echo", "Connection: close\r\n"));
  EXPECT_EQ(client.read().header("connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServer, SpeaksHttp10) {
  start();
  Client closing(server_->port()), keeping(server_->port()), streaming(server_->port());
  closing.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(closing.read().header("connection"), "close");
  EXPECT_TRUE(closing.closed());
  keeping.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(keeping.read().header("connection"), "keep-alive");
  streaming.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto response = streaming.read();
  EXPECT_EQ(response.header("transfer-encoding"), "");
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_EQ(response.body, "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
}

TEST_F(HttpServer, RoutesByPathTailAndMethod) {
  start();
  Client client(server_->port());
  client.send(get("/models/org%2Fname%2Fv1"));
  EXPECT_EQ(client.read().body, "GET /models/org/name/v1 org/name/v1 ");
  client.send("POST /models/org%2Fname/cancel HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.read().body, "POST /models/org/name/cancel org/name ");
  client.send("POST /models//cancel HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.read().status,
            405);  // A model by the name of "/cancel", which is not posted to.
  client.send(get("/models/"));
  EXPECT_EQ(client.read().status, 404);
  client.send("DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto refused = client.read();
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.header("allow"), "post, get, head, options");
  client.send("OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read().status, 204);
  client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "12");
  client.send(get("/echo"));
  EXPECT_EQ(client.read().body, "GET /echo  ");
}

TEST_F(HttpServer, InvitesABodyThatWaits) {
  start();
  Client client(server_->port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_raw(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_EQ(client.read().body, "POST /echo  ok");
}

TEST_F(HttpServer, ReadsLargeAndDribbledBodies) {
  start();
  Client client(server_->port());
  const std::string large(5 << 20, 'x');
  client.send(post("/echo", large));
  EXPECT_EQ(client.read().body, "POST /echo  " + large);
  for (const char c : post("/echo", "dribble")) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.read().body, "POST /echo  dribble");
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.send("2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.read().body, "POST /echo  abcde");
}

TEST_F(HttpServer, RefusesMalformedRequestsAndCloses) {
  start();
  Client client(server_->port());
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto response = client.read();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_EQ(response.header("content-type"), "application/json");
  EXPECT_NE(response.header("x-request-id"), "");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(rejects(Reject::bad_transfer_encoding), 1u);
  EXPECT_EQ(server_->counters().requests, 0u);
}

TEST_F(HttpServer, RefusesABodyTooLargeBeforeReadingIt) {
  auto options = testing::options_for_test();
  options.limits.body_bytes_max = 1'000;
  start(options);
  Client client(server_->port()), polite(server_->port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(client.read().status, 413);
  polite.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(polite.read().status, 413);
  EXPECT_EQ(rejects(Reject::body_too_large), 2u);
}

TEST_F(HttpServer, ARefusedClientThatStillSendsReadsTheAnswer) {
  auto options = testing::options_for_test();
  options.limits.body_bytes_max = 1'000;
  start(options);
  Client client(server_->port());
  client.send(post("/echo", std::string(3 << 20, 'x')));
  EXPECT_EQ(client.read().status, 413);
  client.finish_sending();
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServer, RefusesHeadersTooLarge) {
  start();
  Client client(server_->port());
  client.send(get("/echo", "X-Long: " + std::string(70'000, 'x') + "\r\n"));
  EXPECT_EQ(client.read().status, 431);
  EXPECT_EQ(rejects(Reject::headers_too_large), 1u);
}

TEST_F(HttpServer, SlowHeadsAndBodiesTimeOutWithAnAnswer) {
  auto options = testing::options_for_test();
  options.limits.header_timeout = 60ms;
  options.limits.body_timeout = 60ms;
  start(options);
  Client head(server_->port()), body(server_->port());
  head.send("GET /echo HT");
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
  EXPECT_EQ(head.read().status, 408);
  EXPECT_EQ(body.read().status, 408);
  EXPECT_EQ(rejects(Reject::timeout), 2u);
}

TEST_F(HttpServer, IdleConnectionsAreClosedWithoutAWord) {
  auto options = testing::options_for_test();
  options.limits.idle_timeout = 60ms;
  start(options);
  Client fresh(server_->port()), used(server_->port());
  used.send(get("/echo"));
  EXPECT_EQ(used.read().status, 200);
  EXPECT_EQ(used.read_raw(), "");
  EXPECT_EQ(fresh.read_raw(), "");
  EXPECT_TRUE(testing::eventually([&] { return server_->counters().open_connections == 0; }));
}

TEST_F(HttpServer, ConnectionsOverTheLimitAreToldWhereAllAreAtWork) {
  auto options = testing::options_for_test();
  options.limits.connections_max = 2;
  start(options);
  Client first(server_->port()), second(server_->port());
  for (Client* client : {&first, &second}) {
    client->send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(client->read_raw(), "HTTP/1.1 100 Continue\r\n\r\n");
  }
  Client third(server_->port());
  EXPECT_EQ(third.read().status, 503);
  EXPECT_TRUE(third.closed());
  EXPECT_EQ(server_->counters().connections_refused, 1u);
  first.send("ok");
  EXPECT_EQ(first.read().status, 200);
}

TEST_F(HttpServer, WhoIsIdleTheLongestMakesRoomAtTheLimit) {
  auto options = testing::options_for_test();
  options.limits.connections_max = 2;
  options.workers = 1;
  start(options);
  Client longer(server_->port()), shorter(server_->port());
  longer.send(get("/echo"));
  EXPECT_EQ(longer.read().status, 200);
  shorter.send(get("/echo"));
  EXPECT_EQ(shorter.read().status, 200);
  Client third(server_->port());
  third.send(get("/echo"));
  EXPECT_EQ(third.read().status, 200);
  EXPECT_TRUE(longer.closed());
  shorter.send(get("/echo"));
  EXPECT_EQ(shorter.read().status, 200);
  EXPECT_EQ(server_->counters().idle_closed, 1u);
  EXPECT_EQ(server_->counters().connections_refused, 0u);
}

TEST_F(HttpServer, SpreadsConnectionsOverWorkers) {
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(server_->port()));
  for (auto& client : clients) client->send(get("/later"));
  for (auto& client : clients) EXPECT_EQ(client->read().body, "later");
}

TEST_F(HttpServer, AnAddressInUseIsSaidPlainly) {
  start();
  auto options = testing::options_for_test();
  options.listen.port = server_->port();
  Server second(options, echo, testing::plain_error);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("another program uses this address"), std::string::npos);
  options.listen.host = "no.such.host.invalid";
  Server third(options, echo, testing::plain_error);
  EXPECT_FALSE(third.start());
}

}  // namespace
}  // namespace spillway::http
