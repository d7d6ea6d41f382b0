#include "gateway/provider/provider.h"

#include "gateway/http/routes.h"
#include "gateway/http/server.h"
#include "gateway/provider/house.h"
#include "gateway/provider/serving.h"
#include "gateway/provider/wire.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <csignal>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <utility>

namespace spillway::provider {
namespace net = boost::asio;

namespace {

constexpr const char* kJson = "application/json";
constexpr int kBatchesListed = 100;

http::ErrorReply write_refusal(const Error& error, const http::RefusedRequest&) {
  int status = 500;
  if (error.code == Errc::not_found) status = 404;
  if (error.code == Errc::method_not_allowed) status = 405;
  if (error.code == Errc::invalid_request) status = 400;
  if (error.code == Errc::payload_too_large) status = 413;
  if (error.code == Errc::headers_too_large) status = 431;
  if (error.code == Errc::request_timeout) status = 408;
  if (error.code == Errc::overloaded) status = 503;
  const char* type = status >= 500 ? "server_error" : "invalid_request_error";
  return http::ErrorReply{status, kJson, error_body(error.message, type, "", error.param), {}};
}

net::awaitable<void> answer(int status, std::string body, http::ResponseWriter& out) {
  std::string type = kJson;
  co_await out.send(status, std::move(type), std::move(body));
}

std::string model_object(std::string_view name) {
  return R"({"id":)" + json_string(name) +
         R"(,"object":"model","created":1764000000,"owned_by":"simulated"})";
}

std::string stats_body(const ProviderStats& stats) {
  std::string body;
  const auto add = [&body](const char* name, auto value) {
    body += (body.empty() ? "{\"" : ",\"") + std::string(name) + "\":" + std::to_string(value);
  };
  add("requests", stats.requests);
  add("answered", stats.answered);
  add("failures", stats.failures);
  add("rate_limited", stats.rate_limited);
  add("unauthorized", stats.unauthorized);
  add("disconnects", stats.disconnects);
  add("open_streams", stats.open_streams);
  add("prompt_tokens", stats.prompt_tokens);
  add("cached_tokens", stats.cached_tokens);
  add("completion_tokens", stats.completion_tokens);
  add("batches", stats.batches);
  add("batch_lines", stats.batch_lines);
  add("batch_prompt_tokens", stats.batch_prompt_tokens);
  add("batch_completion_tokens", stats.batch_completion_tokens);
  return body + "}\n";
}

simulated::Profile profile_named(const std::string& name) {
  if (auto profile = simulated::find_profile(name)) return *profile;
  std::string known;
  for (const std::string& one : simulated::profile_names()) known += " " + one;
  throw std::invalid_argument("there is no profile '" + name + "'; there are" + known);
}

// A port that is taken but not listened at: connections to it are refused.
class RefusingPort {
 public:
  Result<void> bind(const config::Endpoint& endpoint) {
    boost::system::error_code failed;
    const auto address = net::ip::make_address(endpoint.host, failed);
    if (!failed) acceptor_.open(address.is_v6() ? net::ip::tcp::v6() : net::ip::tcp::v4(), failed);
    if (!failed) acceptor_.bind(net::ip::tcp::endpoint(address, endpoint.port), failed);
    if (!failed) return {};
    return Error{Errc::invalid_request, "cannot take " + endpoint.host + ": " + failed.message(),
                 "", std::nullopt};
  }
  bool bound() const { return acceptor_.is_open(); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  net::io_context context_;
  net::ip::tcp::acceptor acceptor_{context_};
};

}  // namespace

class Provider::Impl {
 public:
  explicit Impl(ProviderOptions options)
      : listen_(options.listen),
        house_(options.own_profile ? *options.own_profile : profile_named(options.profile),
               options),
        routes_(&write_refusal),
        server_(
            http::ServerOptions{options.listen, options.workers, config::ServerLimits{},
                                "provider"},
            [this](http::Request request, http::ResponseWriter& out) {
              return serve(std::move(request), out);
            },
            &write_refusal) {
    add_routes();
  }

  Result<void> start() { return house_.script()->dead ? refusing_.bind(listen_) : server_.start(); }
  void stop() { server_.stop(); }
  std::uint16_t port() const { return refusing_.bound() ? refusing_.port() : server_.port(); }
  House& house() { return house_; }

 private:
  void add_routes() {
    using Request = http::Request;
    using Writer = http::ResponseWriter;
    routes_.add("POST", "/v1/chat/completions", [this](Request request, Writer& out) {
      return provider::serve(house_, chat_protocol(), std::move(request), out);
    });
    routes_.add("POST", "/v1/messages", [this](Request request, Writer& out) {
      return provider::serve(house_, messages_protocol(), std::move(request), out);
    });
    routes_.add("GET", "/v1/models", [this](Request, Writer& out) {
      const std::string model = model_object(house_.profile().name);
      return answer(200, R"({"object":"list","data":[)" + model + "]}", out);
    });
    routes_.add("GET", "/v1/models/{id}", [](Request request, Writer& out) {
      return answer(200, model_object(request.tail), out);
    });
    routes_.add("GET", "/stats", [this](Request, Writer& out) {
      return answer(200, stats_body(house_.stats()), out);
    });
    routes_.add("POST", "/script",
                [this](Request request, Writer& out) { return change_script(request.body, out); });
    add_batch_routes();
  }

  void add_batch_routes() {
    using Request = http::Request;
    using Writer = http::ResponseWriter;
    BatchRoom& room = house_.batches();
    routes_.add("POST", "/v1/files", [&room](Request request, Writer& out) {
      return tell(room.keep(request.header("content-type"), request.body), out);
    });
    routes_.add("GET", "/v1/files/{id}/content", [&room](Request request, Writer& out) {
      return tell(room.content(request.tail), out);
    });
    routes_.add("DELETE", "/v1/files/{id}", [&room](Request request, Writer& out) {
      return tell(room.remove(request.tail), out);
    });
    routes_.add("POST", "/v1/batches", [this](Request request, Writer& out) {
      return make_batch(std::move(request), out);
    });
    routes_.add("GET", "/v1/batches", [&room](Request request, Writer& out) {
      return tell(room.list(request.parameter("after"), kBatchesListed), out);
    });
    routes_.add("GET", "/v1/batches/{id}", [&room](Request request, Writer& out) {
      return tell(room.look(request.tail), out);
    });
    routes_.add("POST", "/v1/batches/{id}/cancel", [&room](Request request, Writer& out) {
      return tell(room.cancel(request.tail), out);
    });
  }

  static net::awaitable<void> tell(Result<std::string> said, http::ResponseWriter& out) {
    if (said) return answer(200, std::move(*said), out);
    const int status = said.error().code == Errc::not_found ? 404 : 400;
    return answer(status,
                  error_body(said.error().message, "invalid_request_error", "", said.error().param),
                  out);
  }

  net::awaitable<void> make_batch(http::Request request, http::ResponseWriter& out) {
    auto made = house_.batches().create(request.body, house_.script()->batches);
    if (made && house_.loses_batch()) {
      co_await out.begin_stream();  // Returning before its end cuts the connection.
      co_return;
    }
    co_await tell(std::move(made), out);
  }

  net::awaitable<void> serve(http::Request request, http::ResponseWriter& out) {
    const bool guarded = !house_.key().empty() && request.path.starts_with("/v1/");
    if (!guarded || request.api_key() == house_.key()) {
      return routes_.serve(std::move(request), out);
    }
    ++house_.counts().unauthorized;
    return answer(
        401, error_body("Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
        out);
  }

  net::awaitable<void> change_script(const std::string& body, http::ResponseWriter& out) {
    auto script = parse_script(body);
    if (!script) {
      return answer(400, error_body(script.error().message, "invalid_request_error", ""), out);
    }
    house_.set_script(std::move(*script));
    return answer(200, "{}\n", out);
  }

  const config::Endpoint listen_;
  House house_;
  http::Routes routes_;
  http::Server server_;
  RefusingPort refusing_;
};

Provider::Provider(ProviderOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Provider::~Provider() { stop(); }

Result<void> Provider::start() { return impl_->start(); }

std::uint16_t Provider::port() const { return impl_->port(); }

void Provider::stop() { impl_->stop(); }

void Provider::set_script(simulated::Script script) {
  impl_->house().set_script(std::move(script));
}

ProviderStats Provider::stats() const { return impl_->house().stats(); }

int run_provider(const ProviderOptions& options) {
  // Blocked before the workers start, so that only sigwait below sees them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  Provider provider(options);
  const auto started = provider.start();
  if (!started) {
    std::fprintf(stderr, "spillway provider: %s\n", started.error().message.c_str());
    return 1;
  }
  std::printf("spillway provider: %s listening on http://%s:%d%s\n", options.profile.c_str(),
              options.listen.host.c_str(), provider.port(),
              options.script.dead ? " (dead: connections are refused)" : "");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
  provider.stop();
  return 0;
}

}  // namespace spillway::provider
