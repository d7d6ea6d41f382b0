#include "gateway/admin_routes.h"

#include <utility>

namespace spillway {
namespace {

namespace net = boost::asio;

net::awaitable<void> send(admin::Answer answer, http::ResponseWriter& out) {
  (void)co_await out.send(answer.status, std::move(answer.content_type), std::move(answer.body));
}

// A handler that answers with `ask` and looks at nothing of the request.
http::Handler handler_of(const admin::Admin& admin, admin::Answer (admin::Admin::*ask)() const) {
  return
      [&admin, ask](http::Request, http::ResponseWriter& out) { return send((admin.*ask)(), out); };
}

}  // namespace

void add_admin_routes(const admin::Admin& admin, http::Routes& routes) {
  using admin::Admin;
  routes.add("GET", "/livez", handler_of(admin, &Admin::livez));
  routes.add("GET", "/readyz", handler_of(admin, &Admin::readyz));
  routes.add("GET", "/metrics", handler_of(admin, &Admin::metrics));
  routes.add("GET", "/metrics/vllm", handler_of(admin, &Admin::vllm_metrics));
  routes.add("GET", "/config", handler_of(admin, &Admin::config));
  routes.add("POST", "/reload", handler_of(admin, &Admin::reload));
  routes.add("GET", "/decisions", [&admin](http::Request request, http::ResponseWriter& out) {
    return send(admin.decisions(request.query), out);
  });
  routes.add("GET", "/explain/{id}", [&admin](http::Request request, http::ResponseWriter& out) {
    return send(admin.explain(request.tail), out);
  });
}

}  // namespace spillway
