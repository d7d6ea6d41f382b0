#include "backends/local/ops/cpu/team.h"

#include <algorithm>
#include <pthread.h>

namespace spillway::local::ops {

namespace {

constexpr int kSpins = 4'000;      // Some tens of microseconds: longer than the gaps within a step.
constexpr int kCallerSpins = 400;  // Then the caller lets others have its processor between looks.

void relax() { __builtin_ia32_pause(); }

bool is_open(std::uint32_t round) { return round % 2 == 1; }

}  // namespace

Team::Team(int threads) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
}

Team::~Team() {
  stop_.store(true);
  round_.fetch_add(2);
  round_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::deal_out(int count, int share, Call call, const void* what) {
  job_ = {call, what, count, share};
  next_.store(0);
  round_.fetch_add(1);
  round_.notify_all();
  take_shares(job_);
  round_.fetch_add(1);
  for (int spins = 0; busy_.load() != 0; ++spins) {
    if (spins < kCallerSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

void Team::take_shares(const Job& job) {
  while (true) {
    const int begin = next_.fetch_add(job.share, std::memory_order_relaxed);
    if (begin >= job.count) return;
    job.call(job.what, begin, std::min(begin + job.share, job.count));
  }
}

void Team::help() {
  pthread_setname_np(pthread_self(), "engine-helper");
  std::uint32_t seen = 0;
  while (!stop_.load()) {
    std::uint32_t round = round_.load();
    for (int spins = 0; round == seen && spins < kSpins; ++spins) {
      relax();
      round = round_.load();
    }
    if (round == seen) round_.wait(seen);
    seen = round;
    busy_.fetch_add(1);
    if (is_open(round_.load())) take_shares(job_);
    busy_.fetch_sub(1);
  }
}

}  // namespace spillway::local::ops
