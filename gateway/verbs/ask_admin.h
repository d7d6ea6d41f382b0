// One question at a running gateway's admin listener. Blocks, for seconds at most.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/verbs/options.h"

#include <optional>
#include <string>

namespace spillway::verbs {

// Where it listens, and the key that it wants, if any.
struct AdminDoor {
  config::Endpoint at{"127.0.0.1", 9090};
  std::string key;
};

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// Declares --admin, --admin-key and --config.
void add_admin_options(Options& options);

// Of these, or the usual. Nothing: what is wrong has been printed.
std::optional<AdminDoor> admin_door(const Options& options, const std::string& verb);

// backend_unavailable: nobody answers there.
Result<AdminAnswer> ask_admin(const AdminDoor& door, const std::string& method,
                              const std::string& path, const std::string& body = "");

}  // namespace spillway::verbs
