// A thread for every GPU of a group but the first, whose work the caller does: what all ranks have
// to do is done at once, and ends together.
//
// Each rank enqueues for itself, so that none waits on its device for one whose turn has not come.
// One caller at a time. With one rank there are no threads and `run` is a call. No CUDA.
#pragma once

#include "backends/contract/error.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace spillway::local::cuda {

class RankThreads {
 public:
  using Work = std::function<Result<void>(int rank)>;

  explicit RankThreads(int ranks);
  ~RankThreads();
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;

  int ranks() const { return static_cast<int>(results_.size()); }

  // work(rank) on each rank's thread; returns when all are done. The first rank's error, if any
  // failed.
  Result<void> run(const Work& work);

 private:
  void serve(int rank);

  const Work* work_ = nullptr;
  std::vector<Result<void>> results_;
  std::atomic<std::uint64_t> round_ = 0;  // Grows when there is work, or when it is over.
  std::atomic<int> busy_ = 0;
  std::atomic<bool> over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace spillway::local::cuda
