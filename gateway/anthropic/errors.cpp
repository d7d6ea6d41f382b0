#include "gateway/anthropic/errors.h"

#include "gateway/wire/json_text.h"

namespace spillway::anthropic {
namespace {

constexpr int kOverloaded = 529;
constexpr int kUnpaid = 402;

// The tool runners of Anthropic's SDKs ask for a thread unless they are told not to. They read
// this, and go on without one.
constexpr std::string_view kNoThreads =
    R"(,"details":{"error_code":"thread_unsupported_request","unsupported":["thread"]})";

int status_of(Errc code) {
  if (code == Errc::overloaded || code == Errc::no_route) return kOverloaded;
  return code == Errc::over_budget ? kUnpaid : wire::status_of(code);
}

std::string_view type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case kUnpaid: return "billing_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 504: return "timeout_error";
    case kOverloaded: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

std::string error_object(const Error& error, std::string_view request_id) {
  std::string body = R"({"type":"error","error":{"type":)";
  wire::append_json_string(body, type_of(status_of(error.code)));
  body += R"(,"message":)";
  wire::append_json_string(body, error.message);
  if (error.param == "thread") body += kNoThreads;
  body += R"(},"request_id":)";
  wire::append_json_string_or_null(body, request_id);
  body += "}";
  return body;
}

wire::ErrorReply error_reply(const Error& error, std::string_view request_id) {
  return {status_of(error.code), error_object(error, request_id), wire::retry_advice(error)};
}

}  // namespace spillway::anthropic
