// One open file, and the errors of the disk as ours.
//
// Belongs to one thread at a time, which may wait for the disk. A full disk, or one that fails, is
// Errc::overloaded (it may pass), everything else Errc::internal; messages never name a path.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::store {

class DiskFile {
 public:
  static Result<DiskFile> create(const std::string& path);  // Empty, mode 0600.
  static Result<DiskFile> read(const std::string& path);
  static Result<DiskFile> append(const std::string& path);  // Created if it is not there.
  DiskFile(DiskFile&& other) noexcept;
  DiskFile& operator=(DiskFile&& other) noexcept;
  ~DiskFile();

  // All of `bytes`, at the end of what was written.
  Result<void> write(std::string_view bytes);

  // Up to `bytes` from there; fewer only at the end of the file.
  Result<std::string> read_at(std::uint64_t offset, std::size_t bytes) const;

  Result<std::uint64_t> size() const;
  Result<void> cut(std::uint64_t bytes);  // What follows the first so many is gone.
  Result<void> sync();                    // What was written survives a power cut.

 private:
  explicit DiskFile(int descriptor) : descriptor_(descriptor) {}
  static Result<DiskFile> open(const std::string& path, int flags);

  int descriptor_;
};

// Gives the file another name in the same directory tree, replacing what has it, and makes that
// survive a power cut.
Result<void> rename_durably(const std::string& from, const std::string& to);

// A second name for the same content, as durable; whoever deletes one leaves the other.
Result<void> link_durably(const std::string& from, const std::string& to);

// The error of a failed system call, from errno.
Error disk_failure();

// The one of a full disk.
Error disk_is_full();

// The one of a disk that fails, or is full: nobody can say which.
Error disk_fails();

}  // namespace spillway::store
