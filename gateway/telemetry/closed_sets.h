// Which label values there can be: what the configuration names. Plain values.
#pragma once

#include "config/settings.h"

#include <string>
#include <vector>

namespace spillway::telemetry {

struct ClosedSets {
  std::vector<std::string> classes;
  std::vector<std::string> targets;
  std::vector<std::string> models;  // Names that clients ask for and names that targets use.
  std::vector<std::string> tenants;
  std::vector<std::string> rules;
  std::vector<std::string> reasons;        // Every reason of the policy.
  std::vector<std::string> spill_reasons;  // Those that say: wanted to stay local, could not.
};

// Classes, targets, models, tenants and rules of `settings`; the reasons are the policy's and stay
// empty.
ClosedSets closed_sets(const config::Settings& settings);

}  // namespace spillway::telemetry
