// The admin listener over a real socket: paths, methods, content types.
#include "gateway/api/admin_routes.h"

#include "gateway/http/routes.h"
#include "gateway/http/server.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace spillway {
namespace {

// The whole answer to one request on a connection of its own.
std::string ask(std::uint16_t port, const std::string& method, const std::string& path) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string request =
      method + " " + path +
      " HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(write(connection, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4'096];
  for (ssize_t got; (got = read(connection, buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  close(connection);
  return answer;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

http::ErrorReply plain(const Error& error, const http::RefusedRequest&) {
  const int status = error.code == Errc::method_not_allowed ? 405 : 404;
  return {status, "text/plain", std::string(name_of(error.code)), {}};
}

class AdminRoutes : public testing::Test {
 protected:
  AdminRoutes() {
    add_admin_routes(admin_, "", routes_);
    server_ = std::make_unique<http::Server>(
        http::ServerOptions{
            .listen = {"127.0.0.1", 0}, .workers = 1, .limits = {}, .name = "admin"},
        [this](http::Request request, http::ResponseWriter& out) {
          return routes_.serve(std::move(request), out);
        },
        plain);
    const auto started = server_->start();
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
  }

  std::string get(const std::string& path) { return ask(server_->port(), "GET", path); }

  bool ready_ = true;
  int reloads_ = 0;
  admin::Admin admin_{{.not_ready =
                           [this] {
                             return ready_ ? std::vector<std::string>{}
                                           : std::vector<std::string>{"draining"};
                           },
                       .impaired = [] { return std::vector<std::string>(); },
                       .metrics = [] { return std::string("a 1\n"); },
                       .vllm_metrics = [] { return std::string("vllm:a 1\n"); },
                       .config = [] { return std::string("server: {}\n"); },
                       .decisions = [](std::size_t) { return std::vector<admin::Decision>(1); },
                       .decision =
                           [](std::string_view id) {
                             std::optional<admin::Decision> found;
                             if (id == "req_1") found.emplace().target = "ai-hub";
                             return found;
                           },
                       .reload = [this](bool force) -> Result<Reloaded> {
                         reloads_ += force ? 100 : 1;
                         return Reloaded{};
                       },
                       .rehearse = [](std::string_view) { return Result<Tried>(); },
                       .promote = [] { return Result<void>(); },
                       .roll_back = [] { return Result<void>(); },
                       .rollout = [] { return RolloutState{}; },
                       .shadow = [](std::string_view) { return std::optional<ShadowChoice>(); }}};
  http::Routes routes_{plain};
  std::unique_ptr<http::Server> server_;
};

TEST_F(AdminRoutes, EachPathHasItsAnswer) {
  EXPECT_TRUE(has(get("/livez"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/readyz"), "HTTP/1.1 200"));
  ready_ = false;
  EXPECT_TRUE(has(get("/readyz"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(get("/metrics"), "text/plain; version=0.0.4"));
  EXPECT_TRUE(has(get("/metrics"), "\r\n\r\na 1\n"));
  EXPECT_TRUE(has(get("/metrics/vllm"), "vllm:a 1\n"));
  EXPECT_TRUE(has(get("/config"), "server: {}\n"));
  EXPECT_TRUE(has(get("/decisions?n=1"), "\"decisions\""));
  EXPECT_TRUE(has(get("/decisions?n=none"), "HTTP/1.1 400"));
}

TEST_F(AdminRoutes, OnlyAPostReloads) {
  EXPECT_TRUE(has(get("/explain/req_1"), "went to     ai-hub"));
  EXPECT_TRUE(has(get("/explain/req_2"), "HTTP/1.1 404"));
  EXPECT_TRUE(has(get("/reload"), "HTTP/1.1 405"));
  EXPECT_EQ(reloads_, 0);
  EXPECT_TRUE(has(ask(server_->port(), "POST", "/reload"), "HTTP/1.1 200"));
  EXPECT_EQ(reloads_, 1);
  EXPECT_TRUE(has(ask(server_->port(), "POST", "/reload?force=true"), "HTTP/1.1 200"));
  EXPECT_EQ(reloads_, 101);
  EXPECT_TRUE(has(ask(server_->port(), "POST", "/rehearse"), "\"objections\": null"));
  EXPECT_EQ(reloads_, 101);
  EXPECT_TRUE(has(get("/rollout"), "\"guarded_against\":"));
  EXPECT_TRUE(has(get("/rollout/promote"), "HTTP/1.1 405"));
  for (const char* end : {"promote", "rollback"})
    EXPECT_TRUE(has(ask(server_->port(), "POST", std::string("/rollout/") + end), "HTTP/1.1 200"));
}

TEST_F(AdminRoutes, OtherPathsAreNotFound) { EXPECT_TRUE(has(get("/v1/models"), "HTTP/1.1 404")); }

}  // namespace
}  // namespace spillway
