// Ranks with nothing but their exchange, one a GPU or, where there are fewer GPUs, several on one.
#pragma once

#include "backends/local/cuda/peer_exchange.h"
#include "tests/gpu/device_array.h"

#include <limits>
#include <memory>
#include <vector>

namespace spillway::gpu_test {

class PeerRanks {
 public:
  // More than two ranks norm all rows in parts, or none.
  PeerRanks(int ranks, int width, int rows_max, int sums, bool in_parts)
      : shape_(), limits_{rows_max, in_parts ? 1 : std::numeric_limits<int>::max()} {
    check(cudaGetDeviceCount(&devices_), "devices");
    devices_ = std::min(devices_, ranks);
    shape_.width = width;
    shape_.layers = sums / 2;
    for (int rank = 0; rank < ranks; ++rank) add(rank, ranks);
    std::vector<local::cuda::PeerExchange::Addresses> all;
    for (const auto& rank : ranks_) all.push_back(rank.exchange->own());
    for (int rank = 0; rank < ranks; ++rank) {
      choose(rank);
      rehearse(rank);
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
  DeviceArray<Bf16>& normed(int rank) { return *ranks_[rank].normed; }
  DeviceArray<std::uint8_t>& quantized(int rank) { return *ranks_[rank].quantized; }
  DeviceArray<float>& row_scales(int rank) { return *ranks_[rank].row_scales; }

  static constexpr int kTokens = 300;

 private:
  struct Rank {
    CUstream_st* stream = nullptr;
    std::unique_ptr<DeviceArray<std::int32_t>> last_token;
    std::unique_ptr<DeviceArray<Bf16>> normed;
    std::unique_ptr<DeviceArray<std::uint8_t>> quantized;
    std::unique_ptr<DeviceArray<float>> row_scales;
    std::unique_ptr<local::cuda::PeerExchange> exchange;
  };

  // Loads the kernels while nobody waits for anybody.
  void rehearse(int rank) {
    const int rows_max = limits_.rows_max;
    const int width = shape_.width;
    DeviceArray<Bf16> hidden(std::size_t(rows_max) * width), weight(width);
    const kernels::RmsNorm norm = {normed(rank).get(), nullptr, hidden.get(), weight.get(), nullptr,
                                   rows_max,           width,   1e-6f};
    exchange(rank).begin_pass(rows_max);
    check(exchange(rank).sum_few(hidden.get(), 1), "sum of few");
    check(exchange(rank).norm_sum(norm), "sum of rows");
    const kernels::AddNormed behind = {hidden.get(), nullptr, weight.get(), rows_max, width, 1e-6f};
    check(exchange(rank).add_normed_sum(behind), "sum of rows");
    check(exchange(rank).meet(), "meeting");
    check(exchange(rank).hand_out_tokens(kTokens), "handing out");
    check(cudaDeviceSynchronize(), "rehearsal");
  }

  void add(int rank, int ranks) {
    choose(rank);
    Rank made;
    check(cudaStreamCreateWithFlags(&made.stream, cudaStreamNonBlocking), "stream");
    made.last_token = std::make_unique<DeviceArray<std::int32_t>>(kTokens);
    const std::size_t rows = limits_.rows_max;
    made.normed = std::make_unique<DeviceArray<Bf16>>(rows * shape_.width);
    made.quantized = std::make_unique<DeviceArray<std::uint8_t>>(rows * shape_.width);
    made.row_scales = std::make_unique<DeviceArray<float>>(rows);
    shape_.share = {rank, ranks};
    const local::cuda::PeerExchange::Outlets outlets = {made.last_token->get(), nullptr,
                                                        made.normed->get(), made.quantized->get(),
                                                        made.row_scales->get()};
    auto exchange = local::cuda::PeerExchange::create(shape_, limits_, outlets, made.stream);
    if (!exchange) std::abort();
    made.exchange = std::move(*exchange);
    ranks_.push_back(std::move(made));
  }

  int devices_ = 0;
  local::cuda::DecoderShape shape_;
  const local::cuda::PeerExchange::Limits limits_;
  std::vector<Rank> ranks_;
};

}  // namespace spillway::gpu_test
