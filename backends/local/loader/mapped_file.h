// A file's bytes, mapped read-only: the one way weights enter the process, so that they are paged
// in on demand and shared between processes.
//
// Owns the mapping and unmaps it when destroyed; moving keeps `bytes()` where it was. Any thread
// may read. The file must not be truncated while it is mapped (the kernel answers that with
// SIGBUS): replace model files by renaming.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <span>
#include <string>

namespace spillway::loader {

class MappedFile {
 public:
  // Maps the whole file. Errors name the path and the system's reason.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace spillway::loader
