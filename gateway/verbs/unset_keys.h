// An environment for verbs that serve nobody: a variable that is not set, such as a key's, stops
// nothing, but is told. One thread; must outlive its environment().
#pragma once

#include "config/load.h"
#include "config/secret.h"

#include <set>
#include <string>

namespace spillway::verbs {

class UnsetKeys {
 public:
  config::Environment environment();

  // Adds a warning for each variable that was asked for and is not set.
  void warn(config::Loaded& loaded) const;

 private:
  std::set<std::string> names_;
};

}  // namespace spillway::verbs
