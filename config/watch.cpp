#include "config/watch.h"

#include "config/digest.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <map>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace spillway::config {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kWatchedBytesMax = 16 << 20;
constexpr int kBusyQuietPeriodsMax = 10;  // A folder that never rests is looked at all the same.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;

// The folders in which a change can give the path other bytes: that of each link on the way, and
// that of the file in the end.
std::vector<std::string> folders_of(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path at = std::filesystem::absolute(path, ignored);
  std::vector<std::string> folders;
  for (int hops = 0; hops < 16; ++hops) {
    folders.push_back(at.parent_path().string());
    const auto target = std::filesystem::read_symlink(at, ignored);
    if (ignored) break;
    at = target.is_absolute() ? target : at.parent_path() / target;
  }
  folders.push_back(std::filesystem::weakly_canonical(path, ignored).parent_path().string());
  return folders;
}

std::uint64_t inode(const std::string& folder) {
  struct stat about{};
  return ::stat(folder.c_str(), &about) == 0 ? about.st_ino : 0;
}

}  // namespace

class FileWatcher::Impl {
 public:
  Impl(std::function<FilesRead()> files, std::function<void()> changed, WatchOptions options)
      : files_(std::move(files)),
        changed_(std::move(changed)),
        options_(options),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (stop_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    arm();
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() {
    const std::uint64_t one = 1;
    while (::write(stop_, &one, sizeof one) < 0 && errno == EINTR) continue;
    thread_.join();
    if (inotify_ >= 0) ::close(inotify_);
    ::close(stop_);
  }

 private:
  enum class Woken { stopped, event, timeout };

  void run() {
    ::pthread_setname_np(::pthread_self(), "config-watch");
    look();
    while (true) {
      const Woken woken = wait(options_.look);
      if (woken == Woken::stopped) return;
      if (woken == Woken::event && !settle()) return;
      look();
    }
  }

  // Waits until the folders have been quiet for a while; false if it is time to stop.
  bool settle() {
    const auto latest = Clock::now() + kBusyQuietPeriodsMax * options_.quiet;
    while (Clock::now() < latest) {
      const Woken woken = wait(options_.quiet);
      if (woken == Woken::stopped) return false;
      if (woken == Woken::timeout) return true;
    }
    return true;
  }

  Woken wait(std::chrono::milliseconds limit) {
    std::array<pollfd, 2> files{{{stop_, POLLIN, 0}, {inotify_, POLLIN, 0}}};
    const int ready = ::poll(files.data(), files.size(), static_cast<int>(limit.count()));
    if (files[0].revents != 0) return Woken::stopped;
    if (ready <= 0) return Woken::timeout;
    drain_events();
    return Woken::event;
  }

  void drain_events() {
    alignas(inotify_event) std::array<char, 4096> events;
    while (::read(inotify_, events.data(), events.size()) > 0) continue;
  }

  // The callback may have read other files: what changed while these were not watched yet is told
  // as well.
  void look() {
    arm();
    while (tell() && arm()) continue;
  }

  // Watches the folders as they are now. Begins anew, and says so, only if the way to a file has
  // changed, or a watched folder was replaced under the same name.
  bool arm() {
    std::map<std::string, std::uint64_t> folders;
    for (const auto& [path, sha256] : files_()) {
      for (const std::string& folder : folders_of(path)) folders.emplace(folder, inode(folder));
    }
    if (folders == armed_ && inotify_ >= 0) return false;
    if (inotify_ >= 0) ::close(inotify_);
    inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (inotify_ < 0) return false;  // Then the slow look is all there is.
    for (const auto& [folder, number] : folders) {
      ::inotify_add_watch(inotify_, folder.c_str(), kEvents);
    }
    armed_ = std::move(folders);
    return true;
  }

  // False: there is nothing new.
  bool tell() {
    bool changed = false;
    for (const auto& [path, sha256] : files_()) {
      std::string& told = told_.try_emplace(path, sha256).first->second;
      const auto bytes = read_bounded(path, kWatchedBytesMax);
      const auto* text = std::get_if<std::string>(&bytes);
      if (text == nullptr) continue;
      const std::string before = std::exchange(told, sha256_hex(*text));
      changed = changed || before != told;
    }
    if (changed) changed_();
    return changed;
  }

  const std::function<FilesRead()> files_;
  FilesRead told_;  // Of the bytes that were told last.
  const std::function<void()> changed_;
  const WatchOptions options_;
  const int stop_;
  int inotify_ = -1;
  std::map<std::string, std::uint64_t> armed_;  // Folder → inode.
  std::thread thread_;
};

FileWatcher::FileWatcher(std::function<FilesRead()> files, std::function<void()> changed,
                         WatchOptions options)
    : impl_(std::make_unique<Impl>(std::move(files), std::move(changed), options)) {}

FileWatcher::~FileWatcher() = default;

}  // namespace spillway::config
