#include "backends/cloud/inbox.h"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace spillway::cloud {

Inbox::Inbox() : wake_up_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_up_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Inbox::~Inbox() { ::close(wake_up_); }

bool Inbox::start(std::unique_ptr<Transfer> transfer) {
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  orders_.starts.push_back(std::move(transfer));
  wake(std::move(lock));
  return true;
}

void Inbox::look_at(TransferId id) {
  std::unique_lock lock(mutex_);
  if (closed_) return;
  orders_.look_at.push_back(id);
  wake(std::move(lock));
}

void Inbox::stop() {
  std::unique_lock lock(mutex_);
  if (closed_) return;
  orders_.stop = true;
  wake(std::move(lock));
}

void Inbox::wake(std::unique_lock<std::mutex> lock) {
  if (!std::exchange(sleeping_, false)) return;
  lock.unlock();
  const std::uint64_t one = 1;
  // Fails only when the counter is full: then it is readable already.
  [[maybe_unused]] const auto written = write(wake_up_, &one, sizeof one);
}

Orders Inbox::take() {
  std::lock_guard lock(mutex_);
  sleeping_ = orders_.empty();
  return std::exchange(orders_, Orders{});
}

Orders Inbox::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(orders_, Orders{});
}

void Inbox::clear_wake_up() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_up_, &count, sizeof count);
}

}  // namespace spillway::cloud
