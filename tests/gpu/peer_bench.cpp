// What a sum over GPUs costs inside a graph and outside, whole on every rank and in parts, beside
// an all-reduce by NCCL where that is named. Ours of more than 8 rows has the norm in it, NCCL's
// has not.
//
// usage: gpu_peer_bench [RANKS [LIBNCCL]]   on all GPUs if no number is said
#include "backends/local/cuda/rank_threads.h"
#include "tests/gpu/peer_group.h"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <functional>

namespace spillway::gpu_test {
namespace {

constexpr int kWidth = 3584;
constexpr int kSums = 100;  // A graph.
constexpr int kReplays = 15;
constexpr int kRowsMax = 2048;
constexpr int kRows[] = {1, 8, 9, 16, 32, 64, 128, 256, 640, 1280, 2048};

// Enqueues kSums sums of one rank.
using Series = std::function<void(int rank)>;

class Bench {
 public:
  Bench(int ranks, bool in_parts)
      : ranks_(ranks, kWidth, kRowsMax, kSums, in_parts),
        threads_(ranks),
        captured_(ranks),
        marks_(ranks) {
    on_all([&](int rank) {
      ranks_.choose(rank);
      for (cudaEvent_t& mark : marks_[rank]) check(cudaEventCreate(&mark), "event");
    });
    for (int rank = 0; rank < ranks; ++rank) {
      ranks_.choose(rank);
      const auto values = random_bf16(std::size_t(kRowsMax) * kWidth);
      hidden_.push_back(std::make_unique<DeviceArray<Bf16>>(values));
      weight_.push_back(std::make_unique<DeviceArray<Bf16>>(random_bf16(kWidth)));
    }
  }

  PeerRanks& ranks() { return ranks_; }
  void* hidden(int rank) { return hidden_[rank]->get(); }
  const void* weight(int rank) { return weight_[rank]->get(); }

  void on_all(const std::function<void(int)>& work) {
    (void)threads_.run([&](int rank) {
      work(rank);
      return Result<void>();
    });
  }

  // Microseconds a sum, the slowest rank's.
  double eager(const Series& series) { return timed(series); }

  double in_graph(const Series& series) {
    on_all([&](int rank) {
      cudaGraph_t graph = nullptr;
      CUstream_st* stream = ranks_.stream(rank);
      check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
      series(rank);
      check(cudaStreamEndCapture(stream, &graph), "capture");
      check(cudaGraphInstantiate(&captured_[rank], graph, 0), "instantiate");
      check(cudaGraphDestroy(graph), "destroy");
    });
    const double took = timed(
        [&](int rank) { check(cudaGraphLaunch(captured_[rank], ranks_.stream(rank)), "launch"); });
    on_all([&](int rank) { check(cudaGraphExecDestroy(captured_[rank]), "destroy"); });
    return took;
  }

 private:
  double timed(const Series& work) {
    std::vector<float> times;
    for (int replay = 0; replay < kReplays + 2; ++replay) {
      std::vector<float> took(threads_.ranks());
      on_all([&](int rank) {
        auto& [begin, end] = marks_[rank];
        check(cudaEventRecord(begin, ranks_.stream(rank)), "record");
        work(rank);
        check(cudaEventRecord(end, ranks_.stream(rank)), "record");
        check(cudaEventSynchronize(end), "series");
        check(cudaEventElapsedTime(&took[rank], begin, end), "elapsed");
      });
      if (replay >= 2) times.push_back(*std::max_element(took.begin(), took.end()));
    }
    std::nth_element(times.begin(), times.begin() + kReplays / 2, times.end());
    return times[kReplays / 2] * 1e3 / kSums;
  }

  PeerRanks ranks_;
  local::cuda::RankThreads threads_;
  std::vector<cudaGraphExec_t> captured_;
  std::vector<std::array<cudaEvent_t, 2>> marks_;
  std::vector<std::unique_ptr<DeviceArray<Bf16>>> hidden_, weight_;
};

void ours(Bench& bench, int rows, const char* how) {
  const Series series = [&](int rank) {
    auto& exchange = bench.ranks().exchange(rank);
    const kernels::RmsNorm norm = {bench.ranks().normed(rank).get(),
                                   nullptr,
                                   bench.hidden(rank),
                                   bench.weight(rank),
                                   nullptr,
                                   rows,
                                   kWidth,
                                   1e-6f};
    exchange.begin_pass(rows);
    for (int i = 0; i < kSums; ++i) {
      const bool few = rows <= kernels::kSkinnyTokensMax;
      check(few ? exchange.sum_few(bench.hidden(rank), rows) : exchange.norm_sum(norm), "sum");
    }
    check(exchange.meet(), "meeting");
  };
  const double eager = bench.eager(series);
  std::printf("ours %s %5d rows: %7.2f us eager, %7.2f in a graph\n", how, rows, eager,
              bench.in_graph(series));
  std::fflush(stdout);
}

// The little of NCCL that this needs.
class Nccl {
 public:
  Nccl(const char* path, int ranks) : communicators_(ranks) {
    void* library = dlopen(path, RTLD_NOW);
    if (library == nullptr) std::printf("%s\n", dlerror());
    if (library == nullptr) return;
    const auto init =
        reinterpret_cast<int (*)(void**, int, const int*)>(dlsym(library, "ncclCommInitAll"));
    all_reduce_ = reinterpret_cast<AllReduce>(dlsym(library, "ncclAllReduce"));
    loaded_ = init(communicators_.data(), ranks, nullptr) == 0;
  }
  bool loaded() const { return loaded_; }

  void sum(int rank, const void* from, void* to, std::size_t count, CUstream_st* stream) const {
    constexpr int kBf16 = 9;
    constexpr int kSum = 0;
    check(all_reduce_(from, to, count, kBf16, kSum, communicators_[rank], stream), "ncclAllReduce");
  }

 private:
  using AllReduce = int (*)(const void*, void*, std::size_t, int, int, void*, CUstream_st*);
  std::vector<void*> communicators_;
  AllReduce all_reduce_ = nullptr;
  bool loaded_ = false;
};

void by_nccl(Bench& bench, const Nccl& nccl, int rows) {
  const Series series = [&](int rank) {
    for (int i = 0; i < kSums; ++i) {
      nccl.sum(rank, bench.hidden(rank), bench.ranks().normed(rank).get(),
               std::size_t(rows) * kWidth, bench.ranks().stream(rank));
    }
  };
  const double eager = bench.eager(series);
  std::printf("NCCL %5d rows: %7.2f us eager, %7.2f in a graph\n", rows, eager,
              bench.in_graph(series));
  std::fflush(stdout);
}

}  // namespace
}  // namespace spillway::gpu_test

int main(int argc, char** argv) {
  using namespace spillway::gpu_test;
  const int ranks = argc > 1 ? std::atoi(argv[1]) : device_count();
  if (ranks < 2 || device_count() < ranks) {
    std::printf("sums over %d GPUs: there are fewer\n", ranks);
    return 0;
  }
  Bench bench(ranks, false);
  for (const int rows : kRows) ours(bench, rows, "whole");
  if (ranks > 2) {
    Bench in_parts(ranks, true);
    for (const int rows : kRows) {
      if (rows > spillway::kernels::kSkinnyTokensMax) ours(in_parts, rows, "in parts");
    }
  }
  if (argc < 3) return 0;
  const Nccl nccl(argv[2], ranks);
  if (!nccl.loaded()) return 1;
  for (const int rows : kRows) by_nccl(bench, nccl, rows);
  return 0;
}
