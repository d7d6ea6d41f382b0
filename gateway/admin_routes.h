// Puts the answers of the admin room on a listener's routes.
#pragma once

#include "gateway/admin/admin.h"
#include "gateway/http/routes.h"

namespace spillway {

// GET /livez /readyz /metrics /metrics/vllm /config /decisions, POST /reload.
// Requires: `admin` outlives the server that serves `routes`.
void add_admin_routes(const admin::Admin& admin, http::Routes& routes);

}  // namespace spillway
