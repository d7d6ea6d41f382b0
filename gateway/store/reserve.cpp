#include "gateway/store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace spillway::store {
namespace {

constexpr off_t kBytes = 1 << 20;  // Some twenty deletions.

}  // namespace

void Reserve::keep() const {
  struct stat about{};
  if (::stat(path_.c_str(), &about) == 0 && about.st_size >= kBytes) return;
  const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return;
  const bool kept = ::posix_fallocate(file, 0, kBytes) == 0;
  ::close(file);
  if (!kept) (void)give_up();
}

bool Reserve::give_up() const { return ::unlink(path_.c_str()) == 0; }

}  // namespace spillway::store
