// Puts the answers of the admin room on a listener's routes; those that wait for a disk wait on the
// thread for that.
//
// With an `admin_key` all of them want it as `Authorization: Bearer …` but those that probes and
// Prometheus ask. Without one they are open to whoever reaches the listener, as far as they only
// read; what makes or takes away keys is refused.
#pragma once

#include "gateway/admin/admin.h"
#include "gateway/admin/key_answers.h"
#include "gateway/admin/usage_answers.h"
#include "gateway/http/routes.h"
#include "gateway/store/disk_thread.h"

#include <string>

namespace spillway {

// GET /livez /readyz /metrics /metrics/vllm /config /decisions /explain/ID /rollout,
// POST /reload /rehearse /rollout/promote /rollout/rollback.
// Requires: `admin` outlives the server that serves `routes`. So do those below.
void add_admin_routes(const admin::Admin& admin, const std::string& admin_key,
                      http::Routes& routes);

// POST and GET /keys; GET, DELETE /keys/ID; POST /keys/ID/rotate.
void add_key_routes(const admin::KeyAnswers& keys, const std::string& admin_key,
                    store::DiskThread& disk, http::Routes& routes);

// GET /v1/organization/usage/completions, /v1/organization/costs, /audit.
void add_usage_routes(admin::UsageAnswers& usage, const std::string& admin_key,
                      store::DiskThread& disk, http::Routes& routes);

}  // namespace spillway
