// Where data may go.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

// Whether data may go to where a target says that it stays. An empty list lets it go anywhere, any
// other to no target that does not say.
inline bool lets_go_to(const std::vector<std::string>& places, std::string_view residency) {
  return places.empty() ||
         (!residency.empty() && std::find(places.begin(), places.end(), residency) != places.end());
}

}  // namespace spillway::config
