// Tells when one of some files holds other bytes than before: written in place, replaced by rename,
// or swapped behind a symbolic link as Kubernetes does it.
//
// The callbacks run on the watcher's own thread and must not throw. A watcher belongs to one
// thread. Its destructor stops the thread; no callback runs after it. inotify is the quick way; a
// slow look at the files covers what it does not see (network file systems, watch limits).
#pragma once

#include "config/bounded_file.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace spillway::config {

struct WatchOptions {
  std::chrono::milliseconds quiet{100};   // No event for so long: the writer is done.
  std::chrono::milliseconds look{5'000};  // Compare the bytes this often without any event.
};

class FileWatcher {
 public:
  // `files`: those to be watched from now on and what was read of each, so that nothing is missed
  // in between; asked again after each callback. One that is gone or unreadable is not reported
  // until it is back with other bytes.
  FileWatcher(std::function<FilesRead()> files, std::function<void()> changed,
              WatchOptions options = {});
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway::config
