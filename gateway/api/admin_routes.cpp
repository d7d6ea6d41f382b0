#include "gateway/api/admin_routes.h"

#include "gateway/policy/auth.h"

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace spillway {
namespace {

namespace net = boost::asio;

constexpr std::string_view kRotate = "/rotate";

using Answering = std::function<admin::Answer(const http::Request&)>;

using Work = std::function<Result<admin::Answer>()>;

net::awaitable<void> send(admin::Answer answer, http::ResponseWriter& out) {
  if (answer.retry_after.count() > 0)
    out.set_header("retry-after", std::to_string(answer.retry_after.count()));
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

// Whether the request has the admin key, where there is one.
using Gate = std::function<std::optional<admin::Answer>(const http::Request&)>;

// A page's own name may be made to lead here. Nobody can do that with an address, nor with a name
// that has no dot.
bool may_be_a_pages(std::string_view host) {
  host = host.substr(0, host.starts_with('[') ? host.find(']') : host.rfind(':'));
  const bool is_address =
      host.starts_with('[') || host.find_first_not_of("0123456789.") == host.npos;
  return !is_address && host.find('.') != host.npos && !host.ends_with(".localhost");
}

// What only reads.
Gate reading(const std::string& admin_key) {
  return [admin_key](const http::Request& request) -> std::optional<admin::Answer> {
    const bool is_a_page =
        !request.header("origin").empty() || may_be_a_pages(request.header("host"));
    if (admin_key.empty() && is_a_page)
      return refusal(403,
                     "pages in browsers, and whoever asks by a name with a dot, may ask only with "
                     "an admin key: set server.admin_key");
    if (admin_key.empty() || policy::equal_in_constant_time(admin_key, request.bearer_token()))
      return std::nullopt;
    return refusal(401, "this needs the admin key: Authorization: Bearer …");
  };
}

// What changes who may call.
Gate changing(const std::string& admin_key) {
  if (!admin_key.empty()) return reading(admin_key);
  return [](const http::Request&) {
    return std::optional(
        refusal(403, "keys are changed only with an admin key: set server.admin_key"));
  };
}

http::Handler behind(Gate gate, Answering answer) {
  return open_to_all([gate = std::move(gate), answer = std::move(answer)](const auto& request) {
    auto refused = gate(request);
    return refused ? std::move(*refused) : answer(request);
  });
}

// What waits for the disk does so on its thread: who asks whether the gateway lives is answered.
net::awaitable<void> answer_from_disk(const Gate& gate, const Answering& answer,
                                      store::DiskThread& disk, http::Request request,
                                      http::ResponseWriter& out) {
  if (auto refused = gate(request)) co_return co_await send(std::move(*refused), out);
  const Work work = [&]() -> Result<admin::Answer> { return answer(request); };
  auto told = co_await disk.run(work);
  co_await send(std::move(*told), out);
}

http::Handler from_disk(store::DiskThread& disk, Gate gate, Answering answer) {
  return [&disk, gate = std::move(gate), answer = std::move(answer)](http::Request request,
                                                                     http::ResponseWriter& out) {
    return answer_from_disk(gate, answer, disk, std::move(request), out);
  };
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
  const Gate gate = reading(admin_key);
  routes.add("GET", "/config", behind(gate, plain(admin, &Admin::config)));
  routes.add("GET", "/rollout", behind(gate, plain(admin, &Admin::rollout)));
  routes.add("POST", "/rollout/promote", behind(gate, plain(admin, &Admin::promote)));
  routes.add("POST", "/rollout/rollback", behind(gate, plain(admin, &Admin::roll_back)));
  routes.add("POST", "/reload", behind(gate, [&admin](const http::Request& request) {
               return admin.reload(request.query);
             }));
  routes.add("POST", "/rehearse", behind(gate, [&admin](const http::Request& request) {
               return admin.rehearse(request.body);
             }));
  routes.add("GET", "/decisions", behind(gate, [&admin](const http::Request& request) {
               return admin.decisions(request.query);
             }));
  routes.add("GET", "/explain/{id}", behind(gate, [&admin](const http::Request& request) {
               return admin.explain(request.tail);
             }));
}

void add_key_routes(const admin::KeyAnswers& keys, const std::string& admin_key,
                    store::DiskThread& disk, http::Routes& routes) {
  const auto add = [&](const char* method, const char* path, const Gate& gate, Answering answer) {
    routes.add(method, path, from_disk(disk, gate, std::move(answer)));
  };
  const Gate reads = reading(admin_key), changes = changing(admin_key);
  add("GET", "/keys", reads, [&keys](const http::Request&) { return keys.list(); });
  add("GET", "/keys/{id}", reads,
      [&keys](const http::Request& request) { return keys.show(request.tail); });
  add("POST", "/keys", changes,
      [&keys](const http::Request& request) { return keys.make(request.body); });
  add("DELETE", "/keys/{id}", changes,
      [&keys](const http::Request& request) { return keys.revoke(request.tail); });
  add("POST", "/keys/{id}", changes, [&keys](const http::Request& request) {
    std::string_view id = request.tail;
    if (!id.ends_with(kRotate)) return refusal(404, "a key can only be rotated");
    id.remove_suffix(kRotate.size());
    return keys.rotate(id, request.body);
  });
}

void add_usage_routes(admin::UsageAnswers& usage, const std::string& admin_key,
                      store::DiskThread& disk, http::Routes& routes) {
  const auto add = [&](const char* path, Answering answer) {
    routes.add("GET", path, from_disk(disk, reading(admin_key), std::move(answer)));
  };
  add("/v1/organization/usage/completions",
      [&usage](const http::Request& request) { return usage.completions(request.query); });
  add("/v1/organization/usage/embeddings",
      [&usage](const http::Request& request) { return usage.embeddings(request.query); });
  add("/v1/organization/usage/moderations",
      [&usage](const http::Request& request) { return usage.moderations(request.query); });
  add("/v1/organization/costs",
      [&usage](const http::Request& request) { return usage.costs(request.query); });
  add("/audit", [&usage](const http::Request&) { return usage.audit(); });
}

}  // namespace spillway
