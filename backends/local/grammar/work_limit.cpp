#include "backends/local/grammar/work_limit.h"

#include <cassert>
#include <ctime>

namespace spillway::local::grammar {
namespace {

constexpr std::size_t kBetweenLooks = 256;  // Some ten microseconds: to look takes a third of one.

thread_local const WorkLimit* limit = nullptr;
thread_local std::size_t not_looked_at = 0;
thread_local std::uint64_t counted = 0;

std::chrono::nanoseconds time_of_thread() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

WorkLimit::WorkLimit(std::chrono::nanoseconds most) : began_(time_of_thread()), most_(most) {
  assert(limit == nullptr);
  limit = this;
}

WorkLimit::~WorkLimit() { limit = nullptr; }

std::chrono::nanoseconds WorkLimit::taken() const { return time_of_thread() - began_; }

void WorkLimit::check() const {
  if (taken() > most_) throw TooMuchWork();
}

void count_work(std::size_t pieces) {
  not_looked_at += pieces;
  if (not_looked_at < kBetweenLooks) return;
  counted += not_looked_at;
  not_looked_at = 0;
  if (limit != nullptr) limit->check();
}

std::uint64_t work_counted() { return counted + not_looked_at; }

}  // namespace spillway::local::grammar
