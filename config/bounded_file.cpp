#include "config/bounded_file.h"

#include "config/digest.h"
#include "config/value.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace spillway::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Unreadable system_reason() { return {std::generic_category().message(errno)}; }

Unreadable too_large(std::size_t bytes_max) {
  return {"larger than " + format_value(Kind::bytes, static_cast<std::int64_t>(bytes_max))};
}

}  // namespace

std::variant<std::string, Unreadable> read_bounded(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_reason();
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return system_reason();
  if (!S_ISREG(about.st_mode)) return Unreadable{"not a regular file"};

  std::string bytes;
  std::array<char, 16 << 10> piece{};
  while (true) {
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_reason();
    if (got == 0) return bytes;
    bytes.append(piece.data(), static_cast<std::size_t>(got));
    if (bytes.size() > bytes_max) return too_large(bytes_max);
  }
}

std::variant<std::string, Unreadable> read_noted(const std::string& path, std::size_t bytes_max,
                                                 FilesRead& files) {
  auto bytes = read_bounded(path, bytes_max);
  const auto* text = std::get_if<std::string>(&bytes);
  files[path] = text == nullptr ? "" : sha256_hex(*text);
  return bytes;
}

}  // namespace spillway::config
