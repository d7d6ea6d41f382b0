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

void DiskThread::serve() {
  pthread_setname_np(pthread_self(), name_.c_str());
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || !asked_.empty(); });
    if (asked_.empty()) return;
    const auto work = std::move(asked_.front());
    asked_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace spillway::store
