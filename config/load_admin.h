// Where the gateway of a file listens for operators, though the rest of the file may be wrong: who
// has to see to a running gateway may have just the file that it would not take. Blocks on the
// disk; any thread.
#pragma once

#include "config/settings.h"

#include <optional>
#include <string>

namespace spillway::config {

struct AdminListener {
  Endpoint at;
  std::string key_source;  // "env:NAME" or "file:PATH"; empty: none is needed.
};

// Nothing: the file is not to be read, or does not say it properly.
std::optional<AdminListener> load_admin(const std::string& path);

}  // namespace spillway::config
