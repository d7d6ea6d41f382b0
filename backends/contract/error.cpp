#include "backends/contract/error.h"

#include <stdexcept>

namespace spillway {

std::string_view name_of(Errc code) {
  switch (code) {
    case Errc::invalid_request: return "invalid_request";
    case Errc::context_too_long: return "context_too_long";
    case Errc::unsupported: return "unsupported";
    case Errc::unauthenticated: return "unauthenticated";
    case Errc::forbidden: return "forbidden";
    case Errc::model_not_found: return "model_not_found";
    case Errc::not_found: return "not_found";
    case Errc::method_not_allowed: return "method_not_allowed";
    case Errc::conflict: return "conflict";
    case Errc::payload_too_large: return "payload_too_large";
    case Errc::unsupported_media: return "unsupported_media";
    case Errc::headers_too_large: return "headers_too_large";
    case Errc::request_timeout: return "request_timeout";
    case Errc::over_budget: return "over_budget";
    case Errc::resource_unavailable: return "resource_unavailable";
    case Errc::rate_limited: return "rate_limited";
    case Errc::overloaded: return "overloaded";
    case Errc::no_route: return "no_route";
    case Errc::backend_unavailable: return "backend_unavailable";
    case Errc::account_refused: return "account_refused";
    case Errc::deadline_exceeded: return "deadline_exceeded";
    case Errc::slow_client: return "slow_client";
    case Errc::cancelled: return "cancelled";
    case Errc::internal: return "internal";
  }
  return "internal";
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  throw std::logic_error(std::string(name_of(error.code)) + ": " + error.message +
                         " (unchecked Result at " + where.file_name() + ":" +
                         std::to_string(where.line()) + ")");
}

}  // namespace spillway
