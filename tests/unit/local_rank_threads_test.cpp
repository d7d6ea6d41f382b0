// All ranks at once, again and again, and the first error of them.
#include "backends/local/cuda/rank_threads.h"

#include <gtest/gtest.h>

#include <barrier>
#include <string>
#include <thread>

namespace spillway::local::cuda {
namespace {

TEST(RankThreads, RanksRunAtTheSameTimeEachOnItsOwnThread) {
  constexpr int kRanks = 4;
  constexpr int kRounds = 200;
  RankThreads threads(kRanks);
  std::vector<std::thread::id> ids(kRanks);
  std::vector<int> rounds(kRanks);
  for (int round = 0; round < kRounds; ++round) {
    std::barrier together(kRanks);  // Nobody passes unless all are there.
    const auto done = threads.run([&](int rank) {
      together.arrive_and_wait();
      const auto at = static_cast<std::size_t>(rank);
      if (round == 0) ids[at] = std::this_thread::get_id();
      EXPECT_EQ(ids[at], std::this_thread::get_id());
      ++rounds[at];
      return Result<void>();
    });
    EXPECT_TRUE(done);
  }
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(rounds, std::vector<int>(kRanks, kRounds));
}

TEST(RankThreads, OneErrorFailsTheRoundAndNotTheNext) {
  RankThreads threads(3);
  const auto fail = [](int rank) -> Result<void> {
    if (rank == 0) return {};
    return Error{Errc::backend_unavailable, "rank " + std::to_string(rank), "", std::nullopt};
  };
  const auto failed = threads.run(fail);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "rank 1");
  EXPECT_TRUE(threads.run([](int) { return Result<void>(); }));
}

TEST(RankThreads, OneRankIsTheCallerAlone) {
  RankThreads threads(1);
  int calls = 0;
  EXPECT_TRUE(threads.run([&](int rank) {
    EXPECT_EQ(rank, 0);
    ++calls;
    return Result<void>();
  }));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace spillway::local::cuda
