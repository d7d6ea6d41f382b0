// Ranks with nothing but their exchange, one a GPU or, where there are fewer GPUs, several on one.
#pragma once

#include "backends/local/cuda/peer_exchange.h"
#include "tests/gpu/device_array.h"

#include <memory>
#include <vector>

namespace spillway::gpu_test {

class PeerRanks {
 public:
  PeerRanks(int ranks, int width, int rows_max, int sums) : shape_() {
    check(cudaGetDeviceCount(&devices_), "devices");
    devices_ = std::min(devices_, ranks);
    shape_.width = width;
    shape_.layers = sums / 2;
    for (int rank = 0; rank < ranks; ++rank) add(rank, ranks, rows_max);
    std::vector<local::cuda::PeerExchange::Addresses> all;
    for (const auto& rank : ranks_) all.push_back(rank.exchange->own());
    for (int rank = 0; rank < ranks; ++rank) {
      choose(rank);
      rehearse(rank, width, rows_max);
      if (!local::cuda::reach_devices({0, devices_})) std::abort();
      if (!exchange(rank).join(all)) std::abort();
    }
  }
  ~PeerRanks() {
    for (int rank = 0; rank < size(); ++rank) {
      choose(rank);
      cudaDeviceSynchronize();
    }
    cudaSetDevice(0);
  }

  int size() const { return static_cast<int>(ranks_.size()); }
  bool share_a_device() const { return devices_ < size(); }
  void choose(int rank) const { check(cudaSetDevice(rank % devices_), "device"); }
  local::cuda::PeerExchange& exchange(int rank) { return *ranks_[rank].exchange; }
  CUstream_st* stream(int rank) { return ranks_[rank].stream; }
  std::int32_t* last_token(int rank) { return ranks_[rank].last_token->get(); }
  std::vector<std::int32_t> last_tokens(int rank) { return ranks_[rank].last_token->download(); }

  static constexpr int kTokens = 300;

 private:
  struct Rank {
    CUstream_st* stream = nullptr;
    std::unique_ptr<DeviceArray<std::int32_t>> last_token;
    std::unique_ptr<local::cuda::PeerExchange> exchange;
  };

  // Loads the kernels while nobody waits for anybody.
  void rehearse(int rank, int width, int rows_max) {
    DeviceArray<Bf16> hidden(std::size_t(rows_max) * width), out(hidden.count()), weight(width);
    const kernels::RmsNorm norm = {out.get(), nullptr,  hidden.get(), weight.get(),
                                   nullptr,   rows_max, width,        1e-6f};
    exchange(rank).begin_pass();
    check(exchange(rank).sum_few(hidden.get(), 1), "sum of few");
    check(exchange(rank).norm_sum(norm), "sum of rows");
    const kernels::AddNormed behind = {hidden.get(), nullptr, weight.get(), rows_max, width, 1e-6f};
    check(exchange(rank).add_normed_sum(behind), "sum of rows");
    check(exchange(rank).meet(), "meeting");
    check(exchange(rank).hand_out_tokens(kTokens), "handing out");
    check(cudaDeviceSynchronize(), "rehearsal");
  }

  void add(int rank, int ranks, int rows_max) {
    choose(rank);
    Rank made;
    check(cudaStreamCreateWithFlags(&made.stream, cudaStreamNonBlocking), "stream");
    made.last_token = std::make_unique<DeviceArray<std::int32_t>>(kTokens);
    shape_.share = {rank, ranks};
    auto exchange = local::cuda::PeerExchange::create(shape_, rows_max, made.last_token->get(),
                                                      nullptr, made.stream);
    if (!exchange) std::abort();
    made.exchange = std::move(*exchange);
    ranks_.push_back(std::move(made));
  }

  int devices_ = 0;
  local::cuda::DecoderShape shape_;
  std::vector<Rank> ranks_;
};

}  // namespace spillway::gpu_test
