// Tells when a file holds other bytes than before: written in place, replaced by rename, or swapped
// behind a symbolic link as Kubernetes does it.
//
// The callback runs on the watcher's own thread and must not throw. A watcher belongs to one
// thread. Its destructor stops the thread; no callback runs after it. inotify is the quick way; a
// slow look at the file covers what it does not see (network file systems, watch limits).
#pragma once

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
  // `sha256_in_force`: Origins::sha256 of what was loaded, so that nothing is missed in
  // between. A file that is gone or unreadable is not reported until it is back with other bytes.
  FileWatcher(std::string path, std::string sha256_in_force, std::function<void()> changed,
              WatchOptions options = {});
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway::config
