// One GET at a running gateway's admin listener. Blocks, for seconds at most.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <string>

namespace spillway::verbs {

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// backend_unavailable: nobody answers there.
Result<AdminAnswer> ask_admin(const config::Endpoint& admin, const std::string& path);

}  // namespace spillway::verbs
