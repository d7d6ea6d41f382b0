#include "gateway/store/disk_file.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace spillway::store {
namespace {

constexpr std::chrono::seconds kTryLater{30};

// By a quota or a limit of the process, too.
bool is_full(int why) { return why == ENOSPC || why == EDQUOT || why == EFBIG; }

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// So that the names in it survive a power cut.
Result<void> sync_folder(const std::string& path) {
  const int folder = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return disk_failure();
  const bool synced = ::fsync(folder) == 0;
  const Error error = disk_failure();
  ::close(folder);
  if (!synced) return error;
  return {};
}

}  // namespace

Error disk_is_full() {
  return Error{Errc::overloaded, "the gateway's disk is full", "", kTryLater};
}

Error disk_failure() {
  const int why = errno;
  if (is_full(why)) return disk_is_full();
  if (why == EIO || why == EROFS) return disk_fails();
  return Error{Errc::internal, std::string("the gateway's disk: ") + std::strerror(why), "",
               std::nullopt};
}

Error disk_fails() {
  return Error{Errc::overloaded, "the gateway's disk is full or fails", "", kTryLater};
}

Result<DiskFile> DiskFile::open(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return disk_failure();
  return DiskFile(descriptor);
}

Result<DiskFile> DiskFile::create(const std::string& path) {
  return open(path, O_RDWR | O_CREAT | O_TRUNC);
}

Result<DiskFile> DiskFile::read(const std::string& path) { return open(path, O_RDONLY); }

Result<DiskFile> DiskFile::append(const std::string& path) {
  return open(path, O_RDWR | O_CREAT | O_APPEND);
}

DiskFile::DiskFile(DiskFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

DiskFile& DiskFile::operator=(DiskFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

DiskFile::~DiskFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> DiskFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return disk_failure();
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> DiskFile::read_at(std::uint64_t offset, std::size_t bytes) const {
  std::string out(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    const auto at = static_cast<off_t>(offset + have);
    const auto got = ::pread(descriptor_, out.data() + have, bytes - have, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return disk_failure();
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  out.resize(have);
  return out;
}

Result<std::uint64_t> DiskFile::size() const {
  struct stat about{};
  if (::fstat(descriptor_, &about) != 0) return disk_failure();
  return static_cast<std::uint64_t>(about.st_size);
}

Result<void> DiskFile::cut(std::uint64_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) return disk_failure();
  return {};
}

Result<void> DiskFile::sync() {
  if (::fdatasync(descriptor_) != 0) return disk_failure();
  return {};
}

Result<void> rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return disk_failure();
  return sync_folder(to);
}

Result<void> link_durably(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) != 0) return disk_failure();
  return sync_folder(to);
}

}  // namespace spillway::store
