// A whole answer as it was given, so that it can be given again, and what a request is known by.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace spillway::replay {

struct Answer {
  std::string request_id;  // Of the request that it was the answer to.
  int status = 0;
  std::string content_type;  // Empty: a stream of events.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  std::size_t bytes() const;
};

// What a request is known by.
struct Name {
  std::string tenant;
  std::string key;  // Among all of the tenant's.

  auto operator<=>(const Name&) const = default;
};

}  // namespace spillway::replay
