// What a provider's answer says is left of the limits of the account. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace spillway {

struct RateLeft {
  struct Room {
    std::int64_t left = 0;                // When it got the request, without it.
    std::optional<std::int64_t> limit;    // Of which that is left.
    std::chrono::milliseconds full_in{};  // Until all of it is there again.
  };
  std::optional<Room> requests;  // Empty: nothing was said.
  std::optional<Room> tokens;
};

}  // namespace spillway
