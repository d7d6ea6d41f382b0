// A provider's server over HTTPS as a Backend.
//
// `open` may be called from any worker thread and never waits: it writes the request body there and
// hands it to the cloud thread. Dropping the stream removes the transfer and closes its connection
// at once. Streaming requests go upstream as streams, whole ones as whole ones; both come back as a
// TokenStream. The key is sent to the provider's own base_urls only, and stands in no error text.
#pragma once

#include "backends/cloud/cloud_thread.h"
#include "backends/contract/backend.h"
#include "config/settings.h"

#include <cstddef>
#include <memory>

namespace spillway::cloud {

// The backend of the `server`th of the servers of `target`. It may go before its streams do;
// `thread` must outlive it. `open` refuses with overloaded when concurrency_max requests are under
// way, with invalid_request when the request's body is no JSON object. Its streams fail with
//   rate_limited         429 of the provider, with its retry-after
//   overloaded           503, 529 and what says as much, with its retry-after if it told one
//   invalid_request      400, 422 with the provider's reason: another provider would say
//   context_too_long       the same
//   unsupported          413, and 403 that is not about the gateway's account: its own limit; and
//                        answers with fewer choices or embeddings than were asked for
//   backend_unavailable  everything else, with a cause: no connection, TLS, timeouts, other 5xx,
//                        refused keys and unpaid bills, HTML, cut or malformed answers
// Throws std::invalid_argument if the dialect or base_url is none that this room knows, and
// std::runtime_error if libcurl lacks something that it needs.
std::unique_ptr<Backend> make_cloud_backend(const config::ProviderTarget& target,
                                            CloudThread& thread, std::size_t server = 0);

}  // namespace spillway::cloud
