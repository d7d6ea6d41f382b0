#include "gateway/store/disk_thread.h"

#include <pthread.h>

namespace spillway::store {

DiskThread::DiskThread(std::string name)
    : name_(std::move(name)), thread_(&DiskThread::serve, this) {}

DiskThread::~DiskThread() { stop(); }

void DiskThread::post(std::function<void()> work, const std::string& whose) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      auto& asked = asked_[whose];
      if (asked.empty()) turns_.push_back(whose);
      asked.push_back(std::move(work));
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
    if (!turns_.empty()) break;
    if (repeated_) {
      changed_.wait_until(lock, due_);
    } else {
      changed_.wait(lock);
    }
  }
  return take_turn();
}

// Requires: the lock. Who has more to do is behind all others then.
std::function<void()> DiskThread::take_turn() {
  if (turns_.empty()) return {};
  std::string whose = std::move(turns_.front());
  turns_.pop_front();
  const auto asked = asked_.find(whose);
  auto work = std::move(asked->second.front());
  asked->second.pop_front();
  if (asked->second.empty()) {
    asked_.erase(asked);
  } else {
    turns_.push_back(std::move(whose));
  }
  return work;
}

}  // namespace spillway::store
