#include "gateway/api.h"

#include "gateway/refusal.h"

#include <functional>
#include <string>
#include <utility>

namespace spillway {
namespace {

// GET /health: without a key, for load balancers that know no other way to ask.
boost::asio::awaitable<void> healthy(http::Request, http::ResponseWriter& out) {
  std::string body = R"({"status":"ok"})";
  (void)co_await out.send(200, "application/json", std::move(body));
}

}  // namespace

http::Routes Api::routes() const {
  http::Routes routes(protocol_reply);
  routes.add("POST", "/v1/chat/completions", speak(chat_));
  routes.add("GET", "/health", healthy);
  routes.add("GET", "/v1/models", std::bind_front(&Models::list, &models_));
  routes.add("GET", "/v1/models/{id}", std::bind_front(&Models::retrieve, &models_));
  return routes;
}

http::Handler Api::speak(const wire::Protocol& protocol) const {
  return [this, &protocol](http::Request raw, http::ResponseWriter& out) {
    return pipeline_->serve(protocol, std::move(raw), out);
  };
}

}  // namespace spillway
