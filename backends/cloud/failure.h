// What went wrong at a provider, as an Error for the rest of the house.
//
// Pure; any thread. Every text is short and has neither the provider's key nor a host name in it.
// It says "PROVIDER: what happened", in our words, and then perhaps ": " and the provider's own,
// which may quote the request.
#pragma once

#include "backends/cloud/dialects/dialect.h"
#include "backends/cloud/response_head.h"
#include "backends/contract/error.h"

#include <string>
#include <string_view>

namespace spillway::cloud {

// Whose failures they are, and what must not be told.
struct Teller {
  std::string provider;
  std::string key;
};

// backend_unavailable with that cause.
Error unavailable(const Teller& teller, std::string_view cause);

// invalid_request: an answer that follows from what was asked, is paid for, and would be as large
// elsewhere.
Error outgrown(const Teller& teller);

// An answer other than 2xx, by status and body (see cloud_backend.h for which is whose fault).
Error refusal(const Teller& teller, const ResponseHead& head, std::string_view body);

// An error object where an answer should be: after 200, or in the middle of a stream.
Error complaint_error(const Teller& teller, const Complaint& complaint);

}  // namespace spillway::cloud
