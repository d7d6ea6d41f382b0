// What has a name, found by it among others.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace spillway::config {

// Null: there is none of that name.
template <class Named>
const Named* named(const std::vector<Named>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace spillway::config
