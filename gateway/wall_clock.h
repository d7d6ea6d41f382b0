// The time of day, for what is stored and told; never for deadlines (backends/contract/deadline.h).
#pragma once

#include <chrono>
#include <cstdint>

namespace spillway {

inline std::int64_t unix_seconds() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
}

}  // namespace spillway
