// A file while its content arrives: on disk, but of no name that anybody could ask for.
//
// On the disk's thread. What is not kept is deleted when the draft goes.
#pragma once

#include "backends/contract/error.h"
#include "gateway/files/room.h"
#include "gateway/store/disk_file.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::files {

class Draft {
 public:
  // `bytes_max`: more is refused with `excuse`. Its bytes take of the room until it is kept.
  static Result<Draft> create(std::string path, std::uint64_t bytes_max, Error excuse,
                              std::shared_ptr<Room> room);
  Draft(Draft&& other) noexcept = default;
  Draft& operator=(Draft&& other) noexcept = default;
  ~Draft();

  Result<void> write(std::string_view bytes);
  std::uint64_t bytes() const { return bytes_; }

  // Under its own name from now on, and counted by whoever keeps it. Where it fails nobody can say
  // what name it has.
  Result<void> keep(const std::string& path);

 private:
  // A path that is forgotten when it is moved from.
  struct Path {
    std::string text;
    Path(std::string path) : text(std::move(path)) {}
    Path(Path&& other) noexcept : text(std::exchange(other.text, std::string())) {}
    Path& operator=(Path&& other) noexcept {
      text.swap(other.text);
      return *this;
    }
  };

  Draft(store::DiskFile file, std::string path, std::uint64_t bytes_max, Error excuse,
        std::shared_ptr<Room> room)
      : file_(std::move(file)),
        path_(std::move(path)),
        bytes_max_(bytes_max),
        excuse_(std::move(excuse)),
        arriving_(std::move(room)) {}

  store::DiskFile file_;
  Path path_;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_max_;
  Error excuse_;
  Arriving arriving_;
};

}  // namespace spillway::files
