// How many bytes of one kind may be held in memory at once, in all and of one tenant.
//
// Thread-safe. A Leave gives its room back when its last copy goes; it may outlive this.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace spillway {

class ByteRoom {
 public:
  using Leave = std::shared_ptr<const void>;

  // A tenant may take a quarter. `refusal` is what is said where there is no room.
  ByteRoom(std::uint64_t bytes_max, std::string refusal);

  // overloaded, with a retry-after of a second: others are to come first.
  Result<Leave> enter(const std::string& tenant, std::uint64_t bytes) const;

 private:
  struct Room;

  const std::shared_ptr<Room> room_;
  const std::string refusal_;
};

}  // namespace spillway
