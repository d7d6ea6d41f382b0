#include "gateway/reload/label_sets.h"

#include "gateway/policy/plan.h"

#include <string_view>

namespace spillway {

telemetry::ClosedSets label_sets(const config::Settings& settings) {
  telemetry::ClosedSets sets = telemetry::closed_sets(settings);
  for (int i = 0; i <= static_cast<int>(policy::Reason::rule); ++i) {
    const std::string_view reason = policy::name_of(static_cast<policy::Reason>(i));
    sets.reasons.emplace_back(reason);
    if (reason.starts_with("spill_")) sets.spill_reasons.emplace_back(reason);
  }
  return sets;
}

}  // namespace spillway
