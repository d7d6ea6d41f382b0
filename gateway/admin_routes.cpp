#include "gateway/admin_routes.h"

#include "gateway/policy/auth.h"

#include <functional>
#include <string_view>
#include <utility>

namespace spillway {
namespace {

namespace net = boost::asio;

constexpr std::string_view kRotate = "/rotate";

using Answering = std::function<admin::Answer(const http::Request&)>;

net::awaitable<void> send(admin::Answer answer, http::ResponseWriter& out) {
  (void)co_await out.send(answer.status, std::move(answer.content_type), std::move(answer.body));
}

admin::Answer refusal(int status, std::string_view why) {
  return {status, "application/json", R"({"error":")" + std::string(why) + "\"}\n"};
}

http::Handler open_to_all(Answering answer) {
  return [answer = std::move(answer)](http::Request request, http::ResponseWriter& out) {
    return send(answer(request), out);
  };
}

http::Handler with_key(const std::string& admin_key, Answering answer) {
  return open_to_all([admin_key, answer = std::move(answer)](const http::Request& request) {
    if (policy::equal_in_constant_time(admin_key, request.bearer_token())) return answer(request);
    return refusal(401, "this needs the admin key: Authorization: Bearer …");
  });
}

// What only reads.
http::Handler reading(const std::string& admin_key, Answering answer) {
  return admin_key.empty() ? open_to_all(std::move(answer))
                           : with_key(admin_key, std::move(answer));
}

// What changes who may call.
http::Handler changing(const std::string& admin_key, Answering answer) {
  if (!admin_key.empty()) return with_key(admin_key, std::move(answer));
  return open_to_all([](const http::Request&) {
    return refusal(403, "keys are changed only with an admin key: set server.admin_key");
  });
}

// An answer that looks at nothing of the request.
Answering plain(const admin::Admin& admin, admin::Answer (admin::Admin::*ask)() const) {
  return [&admin, ask](const http::Request&) { return (admin.*ask)(); };
}

}  // namespace

void add_admin_routes(const admin::Admin& admin, const std::string& admin_key,
                      http::Routes& routes) {
  using admin::Admin;
  routes.add("GET", "/livez", open_to_all(plain(admin, &Admin::livez)));
  routes.add("GET", "/readyz", open_to_all(plain(admin, &Admin::readyz)));
  routes.add("GET", "/metrics", open_to_all(plain(admin, &Admin::metrics)));
  routes.add("GET", "/metrics/vllm", open_to_all(plain(admin, &Admin::vllm_metrics)));
  routes.add("GET", "/config", reading(admin_key, plain(admin, &Admin::config)));
  routes.add("POST", "/reload", reading(admin_key, plain(admin, &Admin::reload)));
  routes.add("GET", "/decisions", reading(admin_key, [&admin](const http::Request& request) {
               return admin.decisions(request.query);
             }));
  routes.add("GET", "/explain/{id}", reading(admin_key, [&admin](const http::Request& request) {
               return admin.explain(request.tail);
             }));
}

void add_key_routes(const admin::KeyAnswers& keys, const std::string& admin_key,
                    http::Routes& routes) {
  routes.add("GET", "/keys",
             reading(admin_key, [&keys](const http::Request&) { return keys.list(); }));
  routes.add("GET", "/keys/{id}", reading(admin_key, [&keys](const http::Request& request) {
               return keys.show(request.tail);
             }));
  routes.add("POST", "/keys", changing(admin_key, [&keys](const http::Request& request) {
               return keys.make(request.body);
             }));
  routes.add("DELETE", "/keys/{id}", changing(admin_key, [&keys](const http::Request& request) {
               return keys.revoke(request.tail);
             }));
  routes.add("POST", "/keys/{id}", changing(admin_key, [&keys](const http::Request& request) {
               std::string_view id = request.tail;
               if (!id.ends_with(kRotate)) return refusal(404, "a key can only be rotated");
               id.remove_suffix(kRotate.size());
               return keys.rotate(id, request.body);
             }));
}

void add_usage_routes(admin::UsageAnswers& usage, const std::string& admin_key,
                      http::Routes& routes) {
  routes.add("GET", "/v1/organization/usage/completions",
             reading(admin_key, [&usage](const http::Request& request) {
               return usage.completions(request.query);
             }));
  routes.add("GET", "/v1/organization/costs",
             reading(admin_key, [&usage](const http::Request& request) {
               return usage.costs(request.query);
             }));
  routes.add("GET", "/audit",
             reading(admin_key, [&usage](const http::Request&) { return usage.audit(); }));
}

}  // namespace spillway
