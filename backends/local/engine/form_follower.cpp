#include "backends/local/engine/form_follower.h"

#include <chrono>
#include <ctime>
#include <pthread.h>
#include <utility>

namespace spillway::local {

namespace {

// A form that takes so long for a token is given up: others stand behind it.
constexpr std::chrono::milliseconds kTokenMax(100);

// Of this thread alone, so that a busy machine makes no form slow.
std::chrono::nanoseconds time_taken() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

grammar::Mask mask_after(grammar::Matcher& matcher, std::int32_t token) {
  const auto began = time_taken();
  if (!matcher.accept(token)) return {};
  const grammar::Mask mask = matcher.allowed();
  return grammar::is_empty(mask) || time_taken() - began > kTokenMax ? grammar::Mask() : mask;
}

}  // namespace

FormFollower::FormFollower() : thread_([this] { run(); }) {}

FormFollower::~FormFollower() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  came_.notify_one();
  thread_.join();
}

void FormFollower::follow(std::shared_ptr<FormProgress> progress, std::int32_t token, Done done) {
  progress->known_.store(false, std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    work_.push_back({std::move(progress), token, std::move(done)});
  }
  came_.notify_one();
}

void FormFollower::await(Deadline until) {
  std::unique_lock lock(mutex_);
  went_.wait_until(lock, until, [this] { return work_.empty(); });
}

void FormFollower::run() {
  pthread_setname_np(pthread_self(), "forms-follow");
  std::unique_lock lock(mutex_);
  while (true) {
    came_.wait(lock, [this] { return closing_ || !work_.empty(); });
    if (closing_) return;
    const Work& work = work_.front();
    lock.unlock();
    work.progress->allowed_ = mask_after(*work.progress->matcher_, work.token);
    work.progress->known_.store(true, std::memory_order_release);
    work.done();
    lock.lock();
    work_.pop_front();
    if (work_.empty()) went_.notify_all();
  }
}

}  // namespace spillway::local
