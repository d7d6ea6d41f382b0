#include "gateway/http/routes.h"

#include <algorithm>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;

namespace {

constexpr std::string_view kTail = "{id}";

net::awaitable<void> answer_error(ErrorReply reply, std::string allow, ResponseWriter& out) {
  for (const auto& [name, value] : reply.headers) out.set_header(name, value);
  if (!allow.empty()) out.set_header("allow", allow);
  co_await out.send(reply.status, std::move(reply.content_type), std::move(reply.body));
}

net::awaitable<void> answer_options(std::string allow, ResponseWriter& out) {
  out.set_header("allow", allow);
  co_await out.send(204, std::string(), std::string());
}

}  // namespace

Routes::Routes(ErrorFormatter format_error, std::string spoken_header)
    : format_error_(std::move(format_error)), spoken_header_(std::move(spoken_header)) {}

void Routes::add(std::string_view method, std::string_view pattern, Handler handler) {
  const auto tail = pattern.find(kTail);
  const bool takes_tail = tail != pattern.npos;
  const std::string_view behind = takes_tail ? pattern.substr(tail + kTail.size()) : "";
  Route route{std::string(method), std::string(pattern), std::string(pattern.substr(0, tail)),
              std::string(behind), takes_tail,           std::move(handler)};
  // Exact paths and longer prefixes come first, so that the first match is the closest.
  const auto closer = [](const Route& a, const Route& b) {
    if (a.takes_tail != b.takes_tail) return b.takes_tail;
    if (a.path.size() != b.path.size()) return a.path.size() > b.path.size();
    return a.behind.size() > b.behind.size();
  };
  routes_.insert(std::upper_bound(routes_.begin(), routes_.end(), route, closer), std::move(route));
}

void Routes::add_streamed(std::string_view method, std::string_view pattern,
                          std::uint64_t body_bytes_max, Handler handler) {
  add(method, pattern, std::move(handler));
  for (Route& route : routes_) {
    if (route.method == method && route.pattern == pattern)
      route.streamed_body_max = body_bytes_max;
  }
}

std::optional<std::uint64_t> Routes::streamed_body_max(const Request& head) const {
  const Route* route = find(head.method, head.path);
  return route != nullptr ? route->streamed_body_max : std::nullopt;
}

const Routes::Route* Routes::find(std::string_view method, std::string_view path) const {
  const std::string_view handled = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    if (route.method == handled && route.matches(path)) return &route;
  }
  return nullptr;
}

bool Routes::Route::matches(std::string_view asked) const {
  if (!takes_tail) return asked == path;
  if (asked.size() <= path.size() + behind.size()) return false;
  return asked.starts_with(path) && asked.ends_with(behind);
}

std::string Routes::Route::tail_of(const std::string& asked) const {
  return asked.substr(path.size(), asked.size() - path.size() - behind.size());
}

net::awaitable<void> Routes::serve(Request request, ResponseWriter& out) const {
  if (const Route* route = find(request.method, request.path)) {
    if (route->takes_tail) request.tail = route->tail_of(request.path);
    return route->handler(std::move(request), out);
  }
  std::string allow = allowed(request.path);
  if (request.method == "OPTIONS" && !allow.empty()) return answer_options(std::move(allow), out);
  const Errc code = allow.empty() ? Errc::not_found : Errc::method_not_allowed;
  std::string why = allow.empty() ? "there is nothing at " + request.path
                                  : request.path + " takes " + allow + ", not " + request.method;
  const Error error{code, std::move(why), "", std::nullopt};
  const RefusedRequest refused{request.path, request.header(spoken_header_), request.id};
  return answer_error(format_error_(error, refused), std::move(allow), out);
}

std::string Routes::allowed(std::string_view path) const {
  std::string methods;
  for (const Route& route : routes_) {
    if (path != "*" && !route.matches(path)) continue;
    if (methods.find(route.method) != std::string::npos) continue;
    methods += route.method + ", ";
    if (route.method == "GET") methods += "HEAD, ";
  }
  return methods.empty() ? methods : methods + "OPTIONS";
}

}  // namespace spillway::http
