#include "gateway/store/directory.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace spillway::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = "spillway-";
constexpr const char* kTemporaryLock = "temporary";  // Tells such a directory from all others.
constexpr const char* kLock = "lock";
constexpr std::chrono::minutes kLeftAfter{1};

Error failure(const std::string& path, const std::string& why) {
  return Error{Errc::internal, "server.state: " + path + ": " + why, "", std::nullopt};
}

Result<void> make_private(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    return failure(path, std::string("cannot be created: ") + std::strerror(errno));
  if (!fs::is_directory(path, error)) return failure(path, "is no directory");
  return {};
}

// A file that its process holds locked as long as it lives; -1: it cannot be, with errno.
int lock_file(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, S_IRUSR | S_IWUSR);
  if (file < 0 || flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  ::close(file);
  errno = EWOULDBLOCK;
  return -1;
}

// What gateways that were killed have left of temporary directories. A younger one may be about to
// be locked.
void remove_left(const fs::path& base) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with(kTemporaryPrefix)) continue;
    const std::string mark = at->path() / kTemporaryLock;
    std::error_code gone;
    if (now - fs::last_write_time(mark, gone) < kLeftAfter || gone) continue;
    const int lock = lock_file(mark, 0);
    if (lock < 0) continue;
    fs::remove_all(at->path(), gone);
    ::close(lock);
  }
}

Result<std::string> make_temporary() {
  const fs::path base = fs::temp_directory_path();
  remove_left(base);
  std::string path = (base / (std::string(kTemporaryPrefix) + "XXXXXX")).string();
  if (mkdtemp(path.data()) == nullptr) return failure(path, std::strerror(errno));
  return path;
}

}  // namespace

Result<Directory> Directory::open(const std::string& path) {
  const bool temporary = path.empty();
  std::string made = path;
  if (temporary) {
    auto given = make_temporary();
    if (!given) return given.error();
    made = std::move(*given);
  } else if (auto given = make_private(path); !given) {
    return given.error();
  }
  Directory directory(std::move(made), temporary);
  auto locked = directory.lock();
  if (!locked) return locked.error();
  return directory;
}

Result<void> Directory::lock() {
  lock_ = lock_file(file(temporary_ ? kTemporaryLock : kLock), O_CREAT);
  if (lock_ >= 0) return {};
  if (errno == EWOULDBLOCK) return failure(path_, "another gateway uses it; give each its own");
  return failure(path_, std::string("cannot be written: ") + std::strerror(errno));
}

bool Directory::is_in_place() const {
  struct stat held{}, found{};
  return fstat(lock_, &held) == 0 &&
         stat(file(temporary_ ? kTemporaryLock : kLock).c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

Result<std::string> Directory::folder(std::string_view name) const {
  std::string path = file(name);
  auto made = make_private(path);
  if (!made) return made.error();
  return path;
}

Directory::Directory(Directory&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, false)),
      lock_(std::exchange(other.lock_, -1)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  temporary_ = std::exchange(other.temporary_, false);
  lock_ = std::exchange(other.lock_, -1);
  return *this;
}

Directory::~Directory() { close(); }

void Directory::close() {
  std::error_code ignored;
  if (temporary_) fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace spillway::store
