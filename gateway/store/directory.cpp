#include "gateway/store/directory.h"

#include <cerrno>
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

Result<std::string> make_temporary() {
  const fs::path base = fs::temp_directory_path();
  std::string path = (base / "spillway-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) return failure(path, std::strerror(errno));
  return path;
}

}  // namespace

Result<Directory> Directory::open(const std::string& path) {
  if (path.empty()) {
    auto made = make_temporary();
    if (!made) return made.error();
    return Directory(std::move(*made), true);
  }
  auto made = make_private(path);
  if (!made) return made.error();
  Directory directory(path, false);
  auto locked = directory.lock();
  if (!locked) return locked.error();
  return directory;
}

Result<void> Directory::lock() {
  lock_ = ::open(file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (lock_ < 0) return failure(path_, std::string("cannot be written: ") + std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0)
    return failure(path_, "another gateway uses it; give each its own");
  return {};
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
  if (lock_ >= 0) ::close(lock_);
  std::error_code ignored;
  if (temporary_) fs::remove_all(path_, ignored);
}

}  // namespace spillway::store
