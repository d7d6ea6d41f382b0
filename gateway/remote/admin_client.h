// One question at a running gateway's admin listener. Blocks, for seconds at most. Any thread.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"

#include <string>

namespace spillway::remote {

// Where it listens, and the key that it wants, if any.
struct AdminDoor {
  config::Endpoint at{"127.0.0.1", 9090};
  std::string key = {};
};

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// backend_unavailable: nobody answers there.
Result<AdminAnswer> ask_admin(const AdminDoor& door, const std::string& method,
                              const std::string& path, const std::string& body = "");

}  // namespace spillway::remote
