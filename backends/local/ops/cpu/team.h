// A few threads that compute a step together: the caller and its helpers, in step for microseconds.
//
// One thread (the engine's) calls; helpers are awake during a step and for a moment after each
// call, then sleep, so that an idle engine costs nothing. Work is dealt in small shares, and a call
// waits only for helpers that have taken one: on a small machine the gateway's threads need the
// processors too, and a helper that just lost its own holds nobody up.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace spillway::local::ops {

class Team {
 public:
  // `threads` of them, the caller included.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls work(begin, end) for shares of [0, count) of at most `share` items, on all threads, and
  // returns when all are done. Not reentrant; `work` must not throw.
  template <class Work>
  void deal(int count, int share, const Work& work) {
    if (helpers_.empty() || count <= share) {
      for (int begin = 0; begin < count; begin += share) {
        work(begin, begin + share < count ? begin + share : count);
      }
      return;
    }
    const auto call = [](const void* what, int begin, int end) {
      (*static_cast<const Work*>(what))(begin, end);
    };
    deal_out(count, share, call, &work);
  }

 private:
  using Call = void (*)(const void* what, int begin, int end);

  struct Job {
    Call call = nullptr;
    const void* what = nullptr;
    int count = 0;
    int share = 1;
  };

  void deal_out(int count, int share, Call call, const void* what);
  void take_shares(const Job& job);
  void help();

  Job job_;
  alignas(64) std::atomic<int> next_{0};  // First item not dealt yet.
  // Odd while a job is open. A helper counts itself busy before it looks: once a job is closed and
  // nobody is busy, nobody will touch it again.
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace spillway::local::ops
