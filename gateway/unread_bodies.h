// How much of large bodies may be on its way in at once, in all and of one tenant: a body is held
// in memory until it is whole, before the limits of its key can count the request.
//
// Thread-safe. A Leave gives its room back when its last copy goes; it may outlive this.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace spillway {

class UnreadBodies {
 public:
  using Leave = std::shared_ptr<const void>;

  // A tenant may take a quarter.
  explicit UnreadBodies(std::uint64_t bytes_max);

  // overloaded, with a retry-after of a second: others are to come first.
  Result<Leave> enter(const std::string& tenant, std::uint64_t bytes);

 private:
  struct Room;

  const std::shared_ptr<Room> room_;
};

}  // namespace spillway
