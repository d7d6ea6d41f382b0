// The closed set of ways a request can fail, and Result<T>, which carries either a value or one of
// them.
//
// Everything expected is a value of this type; exceptions are for start-up and programmer errors.
// Copyable, thread-compatible, compiles without Asio. gateway/wire/errors.cpp maps each code to
// the wire.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

enum class Errc {
  invalid_request,       // The client's request is malformed; `param` names the field.
  context_too_long,      // Prompt plus asked completion exceed the model's context.
  unsupported,           // A target has no words for what is asked; another may have.
  unauthenticated,       // No key, or one that is not known.
  forbidden,             // A known key that may not do this.
  model_not_found,       // No target serves the model asked for.
  not_found,             // No such path or object.
  method_not_allowed,    // The path exists; this method does not.
  conflict,              // Another request stands in its way; `retry_after` says until when.
  payload_too_large,     // Body over the limit.
  unsupported_media,     // The body is of a type that is not read here.
  headers_too_large,     // Header block over the limit.
  request_timeout,       // The client did not finish sending its request in time.
  over_budget,           // The tenant's money is spent.
  resource_unavailable,  // Nobody is free who is cheap enough for what may wait.
  rate_limited,          // Too many requests or tokens; `retry_after` says when.
  overloaded,            // The gateway or the engine refuses more work for now.
  no_route,              // The policy leaves no target for this request.
  backend_unavailable,   // The targets tried all failed.
  account_refused,       // They do not accept the gateway's account: its operator must act.
  deadline_exceeded,     // The request's deadline passed.
  slow_client,           // The client reads too slowly; its stream was ended.
  cancelled,             // The client went away.
  internal,              // A fault of ours.
};

// The code's snake_case name, as used in logs and metrics; static storage.
std::string_view name_of(Errc code);

struct Error {
  Errc code = Errc::internal;
  std::string message;                                   // For the client: says what to change.
  std::string param;                                     // The request field at fault, or empty.
  std::optional<std::chrono::milliseconds> retry_after;  // When trying again can help.
  std::string rule = {};                                 // The policy's rule that refused it.
  std::string kind = {};                                 // A finer word for `code` on the wire.
};

template <class T>
using Result = boost::system::result<T, Error>;

// Called by Result::value() on an error: a programmer forgot to look. Always throws
// std::logic_error.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

}  // namespace spillway
