#include "gateway/telemetry/line_writer.h"

#include <algorithm>
#include <cerrno>
#include <limits.h>
#include <limits>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace spillway::telemetry {
namespace {

using namespace std::chrono_literals;

// Lines are gathered so long before they are written: one wake-up and one write(2) for many
// requests.
constexpr auto kGather = 20ms;
constexpr auto kLastWords = 1s;

std::size_t chunk_of(int descriptor) {
  struct stat about{};
  const bool is_file = fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
  return is_file ? std::numeric_limits<ssize_t>::max() : PIPE_BUF;
}

}  // namespace

LineWriter::LineWriter(int descriptor, std::size_t bytes_max)
    : descriptor_(descriptor),
      bytes_max_(bytes_max),
      chunk_(chunk_of(descriptor)),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "log");
}

LineWriter::~LineWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    give_up_at_ = std::chrono::steady_clock::now() + kLastWords;
  }
  arrived_.notify_one();
  thread_.join();
}

void LineWriter::write(std::string_view line) {
  std::unique_lock lock(mutex_);
  if (waiting_.size() + line.size() > bytes_max_) {
    ++dropped_;
    return;
  }
  const bool was_empty = waiting_.empty();
  waiting_ += line;
  lock.unlock();
  if (was_empty) arrived_.notify_one();
}

bool LineWriter::flush(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  hurried_ = true;
  arrived_.notify_one();
  return written_.wait_for(lock, limit, [this] { return waiting_.empty() && !writing_; });
}

std::uint64_t LineWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void LineWriter::run() {
  std::string batch;
  std::unique_lock lock(mutex_);
  while (true) {
    arrived_.wait(lock, [this] { return !waiting_.empty() || stopping_; });
    if (waiting_.empty()) return;
    arrived_.wait_for(lock, kGather, [this] { return stopping_ || hurried_; });
    batch.swap(waiting_);
    writing_ = true;
    lock.unlock();
    const bool done = put(batch);
    batch.clear();
    lock.lock();
    writing_ = false;
    hurried_ = false;
    written_.notify_all();
    if (!done) return;
  }
}

// False if there was no more time for it.
bool LineWriter::put(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd writable{descriptor_, POLLOUT, 0};
    const int ready = poll(&writable, 1, 100);
    if (ready <= 0) {
      if (give_up()) return false;
      continue;
    }
    const ssize_t taken = ::write(descriptor_, bytes.data(), std::min(bytes.size(), chunk_));
    if (taken > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(taken));
    } else if (errno != EINTR && errno != EAGAIN) {
      return true;  // Nobody can read this any more (closed pipe, full disk): these lines are gone,
                    // later ones may not.
    }
  }
  return true;
}

bool LineWriter::give_up() const {
  const std::lock_guard lock(mutex_);
  return stopping_ && std::chrono::steady_clock::now() >= give_up_at_;
}

}  // namespace spillway::telemetry
