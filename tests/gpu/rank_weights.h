// The shares of GPUs that compute together, cut out of weights that lie whole on the first.
#pragma once

#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/cuda/decoder_division.h"
#include "backends/local/cuda/device.h"
#include "tests/gpu/device_array.h"

#include <utility>

namespace spillway::gpu_test {

inline std::unique_ptr<local::cuda::DecoderWeights> share_of(
    const local::cuda::DecoderShape& shape, const local::cuda::DecoderWeights& whole,
    local::cuda::Share share) {
  auto own = local::cuda::DecoderWeights::allocate(local::cuda::shape_of(shape, share));
  if (!own) std::abort();
  for (const local::cuda::RoomShape& room : local::cuda::rooms_of(shape)) {
    const auto* from = static_cast<const Bf16*>(whole.find(room.name)->data);
    auto* to = static_cast<Bf16*>((*own)->find(room.name)->data);
    for (const auto& cut : local::cuda::cuts_of(shape, room, share)) {
      check(cudaMemcpy2D(to + cut.to_row * cut.columns, cut.columns * sizeof(Bf16),
                         from + cut.first_row * room.columns + cut.first_column,
                         room.columns * sizeof(Bf16), cut.columns * sizeof(Bf16), cut.rows,
                         cudaMemcpyDefault),
            "cutting weights");
    }
  }
  check(cudaDeviceSynchronize(), "cutting weights");
  return std::move(*own);
}

// Rank r's on the rth GPU from `first` on. The caller speaks to the first of all.
inline local::cuda::RankWeights rank_weights(const local::cuda::DecoderShape& shape,
                                             const local::cuda::DecoderWeights& whole, int ranks,
                                             int first = 0) {
  local::cuda::RankWeights weights;
  for (int rank = 0; rank < ranks; ++rank) {
    check(cudaSetDevice(first + rank), "device");
    if (!local::cuda::reach_devices({0, first + ranks})) std::abort();
    weights.push_back(share_of(shape, whole, {rank, ranks}));
  }
  check(cudaSetDevice(0), "device");
  return weights;
}

}  // namespace spillway::gpu_test
