#include "backends/local/cuda/rank_threads.h"

namespace spillway::local::cuda {

RankThreads::RankThreads(int ranks) : results_(static_cast<std::size_t>(ranks)) {
  for (int rank = 1; rank < ranks; ++rank) threads_.emplace_back([this, rank] { serve(rank); });
}

RankThreads::~RankThreads() {
  over_ = true;
  ++round_;
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void RankThreads::serve(int rank) {
  for (std::uint64_t seen = 0;; ++seen) {
    round_.wait(seen);
    if (over_) return;
    results_[static_cast<std::size_t>(rank)] = (*work_)(rank);
    if (--busy_ == 0) busy_.notify_one();
  }
}

Result<void> RankThreads::run(const Work& work) {
  work_ = &work;
  busy_ = ranks() - 1;
  ++round_;
  round_.notify_all();
  results_[0] = work(0);
  for (int busy = busy_; busy > 0; busy = busy_) busy_.wait(busy);
  for (const Result<void>& result : results_) {
    if (!result) return result;
  }
  return {};
}

}  // namespace spillway::local::cuda
