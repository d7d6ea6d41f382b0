// Where the gateway keeps what must survive it: one directory, of one process.
//
// Made at start and kept until the end; any thread may ask for paths. With a path from
// `server.state` the directory is created (mode 0700) and locked, so that a second gateway cannot
// write the same ledger; without one it is a temporary directory that goes with the process, or, if
// that was killed, when the next gateway without a path is started.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>

namespace spillway::store {

class Directory {
 public:
  // Empty `path`: temporary. Fails with what to change: no permission, no directory, in use.
  static Result<Directory> open(const std::string& path);
  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  // The path of an entry; `name` is one of ours, without slashes.
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }
  bool temporary() const { return temporary_; }

  // False: what was opened in it is no longer found there, because somebody removed or moved it.
  bool is_in_place() const;

  // As `file`, but a directory that exists (mode 0700) when this returns.
  Result<std::string> folder(std::string_view name) const;

 private:
  Directory(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
  Result<void> lock();
  void close();

  std::string path_;
  bool temporary_ = false;
  int lock_ = -1;  // File descriptor that holds the lock.
};

}  // namespace spillway::store
