#include "gateway/store/disk_thread.h"

#include <pthread.h>

namespace spillway::store {

DiskThread::DiskThread(std::string name)
    : name_(std::move(name)), thread_(&DiskThread::serve, this) {}

DiskThread::~DiskThread() { stop(); }

void DiskThread::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      asked_.push_back(std::move(work));
      changed_.notify_one();
      return;
    }
  }
  work();
}

void DiskThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void DiskThread::repeat(std::chrono::milliseconds interval, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  interval_ = interval;
  repeated_ = std::move(work);
  due_ = std::chrono::steady_clock::now() + interval;
  changed_.notify_one();
}

void DiskThread::serve() {
  pthread_setname_np(pthread_self(), name_.c_str());
  while (const auto work = next()) work();
}

// What is to be done; empty at the end. What is due to be repeated comes before what was asked for:
// somebody may always ask.
std::function<void()> DiskThread::next() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    const auto now = std::chrono::steady_clock::now();
    if (repeated_ && now >= due_) {
      due_ = now + interval_;
      return repeated_;
    }
    if (!asked_.empty()) break;
    if (repeated_) {
      changed_.wait_until(lock, due_);
    } else {
      changed_.wait(lock);
    }
  }
  if (asked_.empty()) return {};
  auto work = std::move(asked_.front());
  asked_.pop_front();
  return work;
}

}  // namespace spillway::store
