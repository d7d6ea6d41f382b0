#include "gateway/byte_room.h"

#include <chrono>
#include <map>
#include <mutex>
#include <utility>

namespace spillway {

struct ByteRoom::Room {
  explicit Room(std::uint64_t bytes_max) : bytes_max(bytes_max) {}

  bool enter(const std::string& tenant, std::uint64_t bytes) {
    const std::lock_guard lock(mutex);
    const auto taken = by_tenant.find(tenant);
    const std::uint64_t own = taken == by_tenant.end() ? 0 : taken->second;
    if (all + bytes > bytes_max || own + bytes > bytes_max / 4) return false;
    all += bytes;
    by_tenant[tenant] += bytes;
    return true;
  }

  void leave(const std::string& tenant, std::uint64_t bytes) {
    const std::lock_guard lock(mutex);
    const auto taken = by_tenant.find(tenant);
    all -= bytes;
    taken->second -= bytes;
    if (taken->second == 0) by_tenant.erase(taken);
  }

  const std::uint64_t bytes_max;
  std::mutex mutex;  // Of all below.
  std::uint64_t all = 0;
  std::map<std::string, std::uint64_t> by_tenant;
};

ByteRoom::ByteRoom(std::uint64_t bytes_max, std::string refusal)
    : room_(std::make_shared<Room>(bytes_max)), refusal_(std::move(refusal)) {}

Result<ByteRoom::Leave> ByteRoom::enter(const std::string& tenant, std::uint64_t bytes) const {
  if (!room_->enter(tenant, bytes))
    return Error{Errc::overloaded, refusal_, "", std::chrono::milliseconds(1'000)};
  // A pointer to nothing but what is done when it goes.
  return Leave(room_.get(),
               [room = room_, tenant, bytes](const void*) { room->leave(tenant, bytes); });
}

}  // namespace spillway
