#include "gateway/wire/errors.h"

#include "gateway/wire/json_text.h"

#include <algorithm>
#include <chrono>

namespace spillway::wire {
namespace {

enum class Retry {
  never,    // Would fail the same way: x-should-retry: false.
  later,    // After retry_after, or a second.
  if_told,  // After retry_after; never where it is not said.
  default_  // The SDK's own habit for this status.
};

struct Row {
  int status;
  std::string_view type;
  std::string_view code;  // Empty: null.
  Retry retry;
};

Row row_of(Errc code) {
  constexpr std::string_view kRequest = "invalid_request_error", kServer = "server_error";
  constexpr std::string_view kBusy = "service_unavailable_error";
  switch (code) {
    case Errc::invalid_request: return {400, kRequest, "", Retry::never};
    case Errc::context_too_long: return {400, kRequest, "context_length_exceeded", Retry::never};
    case Errc::unsupported: return {400, kRequest, "unsupported_parameter", Retry::never};
    case Errc::unauthenticated: return {401, kRequest, "invalid_api_key", Retry::never};
    case Errc::forbidden: return {403, "permission_error", "", Retry::never};
    case Errc::model_not_found: return {404, kRequest, "model_not_found", Retry::never};
    case Errc::not_found: return {404, kRequest, "", Retry::never};
    case Errc::method_not_allowed: return {405, kRequest, "method_not_allowed", Retry::never};
    case Errc::conflict: return {409, kRequest, "conflict", Retry::later};
    case Errc::payload_too_large: return {413, kRequest, "request_too_large", Retry::never};
    case Errc::unsupported_media: return {415, kRequest, "unsupported_media_type", Retry::never};
    case Errc::headers_too_large: return {431, kRequest, "headers_too_large", Retry::never};
    case Errc::request_timeout: return {408, kRequest, "request_timeout", Retry::default_};
    case Errc::over_budget: return {429, "insufficient_quota", "insufficient_quota", Retry::never};
    case Errc::resource_unavailable:
      return {429, "rate_limit_error", "resource_unavailable", Retry::later};
    case Errc::rate_limited: return {429, "rate_limit_error", "rate_limit_exceeded", Retry::later};
    case Errc::overloaded: return {503, kBusy, "server_is_overloaded", Retry::later};
    case Errc::no_route: return {503, kBusy, "no_route", Retry::if_told};
    case Errc::backend_unavailable: return {502, kServer, "backend_unavailable", Retry::default_};
    case Errc::account_refused: return {502, kServer, "backend_unavailable", Retry::never};
    case Errc::deadline_exceeded: return {504, kServer, "timeout", Retry::never};
    case Errc::slow_client: return {499, kServer, "slow_client", Retry::never};
    case Errc::cancelled: return {499, kServer, "client_closed_request", Retry::never};
    case Errc::internal: break;
  }
  return {500, kServer, "", Retry::default_};
}

}  // namespace

int status_of(Errc code) { return row_of(code).status; }

std::string_view type_of(Errc code) { return row_of(code).type; }

std::string_view code_of(const Error& error) {
  if (!error.kind.empty()) return error.kind;
  const bool names_a_field = error.code == Errc::invalid_request && !error.param.empty();
  if (names_a_field) return "invalid_value";
  const bool by_rule = error.code == Errc::forbidden && !error.rule.empty();
  return by_rule ? "refused_by_policy" : row_of(error.code).code;
}

std::string error_object(const Error& error) {
  std::string body = R"({"error":{"message":)";
  append_json_string(body, error.message);
  body += R"(,"type":)";
  append_json_string(body, type_of(error.code));
  body += R"(,"param":)";
  append_json_string_or_null(body, error.param);
  body += R"(,"code":)";
  append_json_string_or_null(body, code_of(error));
  body += "}}";
  return body;
}

Headers retry_advice(const Error& error) {
  using namespace std::chrono_literals;
  const Retry retry = row_of(error.code).retry;
  Headers headers;
  const bool hopeless = retry == Retry::if_told && !error.retry_after;
  if (retry == Retry::never || hopeless) headers.emplace_back("x-should-retry", "false");
  if (retry == Retry::later || error.retry_after) {
    const auto wait = std::max(error.retry_after.value_or(1'000ms), 1ms);
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait);
    headers.emplace_back("retry-after", std::to_string(seconds.count()));
    headers.emplace_back("retry-after-ms", std::to_string(wait.count()));
  }
  return headers;
}

ErrorReply error_reply(const Error& error) {
  return {status_of(error.code), error_object(error), retry_advice(error)};
}

}  // namespace spillway::wire
