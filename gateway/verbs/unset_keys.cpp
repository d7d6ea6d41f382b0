#include "gateway/verbs/unset_keys.h"

#include <optional>

namespace spillway::verbs {

// What stands in for a secret is as different from others as the variables are.
config::Environment UnsetKeys::environment() {
  return [this, process = config::process_environment()](
             const std::string& name) -> std::optional<std::string> {
    if (auto value = process(name)) return value;
    names_.insert(name);
    return "unset:" + name;
  };
}

void UnsetKeys::warn(config::Loaded& loaded) const {
  for (const std::string& name : names_) {
    loaded.warnings.push_back(
        {0, 0, "",
         "environment variable " + name + " is not set here; where it serves it has to be"});
  }
}

}  // namespace spillway::verbs
