#include "gateway/edition.h"

#include <algorithm>

namespace spillway {

bool Edition::may_be_local(std::string_view model) const {
  const auto named = [model](const auto& entry) { return entry.name == model; };
  const auto& aliases = settings->policy.aliases;
  if (std::any_of(aliases.begin(), aliases.end(), named)) return true;
  return std::any_of(settings->local.begin(), settings->local.end(),
                     [&named](const config::LocalTarget& target) {
                       return std::any_of(target.serves.begin(), target.serves.end(), named);
                     });
}

}  // namespace spillway
