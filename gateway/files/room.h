// What a tenant has of what it may have: files, parts of uploads, and the bytes of what arrives.
//
// On the disk's thread.
#pragma once

#include "backends/contract/error.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace spillway::files {

struct Room {
  std::uint64_t bytes_max = 0;
  std::uint64_t kept = 0;      // Bytes of files and parts.
  std::uint64_t arriving = 0;  // Bytes of drafts.
  std::int64_t files = 0;
  std::int64_t parts = 0;

  std::uint64_t left() const { return bytes_max - std::min(bytes_max, kept + arriving); }
};

inline Error no_room(const Room& room) {
  return Error{Errc::payload_too_large,
               "there is room for " + std::to_string(room.left()) +
                   " more bytes of files: delete some first",
               "file", std::nullopt};
}

// Bytes that arrive, counted for as long as this is there.
class Arriving {
 public:
  explicit Arriving(std::shared_ptr<Room> room) : room_(std::move(room)) {}
  Arriving(Arriving&& other) noexcept
      : room_(std::move(other.room_)), bytes_(std::exchange(other.bytes_, 0)) {}
  Arriving& operator=(Arriving&& other) noexcept {
    std::swap(room_, other.room_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Arriving() { end(); }

  Result<void> add(std::uint64_t bytes) {
    if (bytes > room_->left()) return no_room(*room_);
    room_->arriving += bytes;
    bytes_ += bytes;
    return {};
  }

  void end() {
    if (room_) room_->arriving -= std::exchange(bytes_, 0);
  }

 private:
  std::shared_ptr<Room> room_;
  std::uint64_t bytes_ = 0;
};

}  // namespace spillway::files
