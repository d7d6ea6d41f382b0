#include "gateway/http/cross_origin.h"

#include <algorithm>
#include <utility>

namespace spillway::http {
namespace {

constexpr std::string_view kPreflightSeconds = "600";

bool is_among(const std::vector<std::string>& origins, std::string_view origin) {
  return std::any_of(origins.begin(), origins.end(), [origin](const std::string& allowed) {
    return allowed == "*" || allowed == origin;
  });
}

void allow(const Request& request, std::string_view origin, ResponseWriter& out) {
  out.set_header("access-control-allow-origin", origin);
  out.set_header("access-control-expose-headers", "*");
  const std::string_view method = request.header("access-control-request-method");
  if (request.method != "OPTIONS" || method.empty()) return;
  out.set_header("access-control-allow-methods", method);
  const std::string_view headers = request.header("access-control-request-headers");
  if (!headers.empty()) out.set_header("access-control-allow-headers", headers);
  out.set_header("access-control-max-age", kPreflightSeconds);
}

}  // namespace

Handler allow_origins(std::vector<std::string> origins, Handler handler) {
  if (origins.empty()) return handler;
  return [origins = std::move(origins), handler = std::move(handler)](Request request,
                                                                      ResponseWriter& out) {
    out.set_header("vary", "origin");  // A cache must not give one origin's answer to another.
    const std::string_view origin = request.header("origin");
    if (!origin.empty() && is_among(origins, origin)) allow(request, origin, out);
    return handler(std::move(request), out);
  };
}

}  // namespace spillway::http
