#include "backends/local/loader/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace spillway::loader {
namespace {

Error failed(const std::string& path, const char* what) {
  return Error{Errc::internal, path + ": " + what + ": " + std::generic_category().message(errno)};
}

// Closes the descriptor: the mapping does not need it.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) return failed(path, "cannot open");

  struct stat facts{};
  if (::fstat(file.number, &facts) != 0) return failed(path, "cannot read its size");
  if (!S_ISREG(facts.st_mode)) return Error{Errc::internal, path + ": is not a regular file"};
  if (facts.st_size == 0) return Error{Errc::internal, path + ": is empty"};

  const auto size = static_cast<std::size_t>(facts.st_size);
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.number, 0);
  if (start == MAP_FAILED) return failed(path, "cannot map");
  return MappedFile(std::span(static_cast<const std::byte*>(start), size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace spillway::loader
