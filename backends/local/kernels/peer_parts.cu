// Sums over ranks in parts: of every row one rank fetches what the others have, norms the sum and
// writes it into the memory of all. For R ranks 2 (R − 1) / R of the rows cross a link, once as
// terms and once as what comes of them, instead of R − 1 times all.
#include "backends/local/kernels/fp8_rows.cuh"
#include "backends/local/kernels/norm_rows.cuh"
#include "backends/local/kernels/peer_parts.h"
#include "backends/local/kernels/peers.cuh"

namespace spillway::kernels {
namespace {

template <class Vector>
__device__ void give(void* const (&out)[kRanksMax], int ranks, int64_t at, const Vector& v) {
  for (int to = 0; to < ranks; ++to) static_cast<Vector*>(out[to])[at] = v;
}

// As store_e4m3_row, to all ranks.
template <int Vectors>
__device__ void give_e4m3(const PeerParts& args, const Bf16x8 (&v)[Vectors], int vectors, int row) {
  const int ranks = args.norm.group.ranks;
  const float largest = largest_in_row(v, vectors);
  const float inverse = inverse_scale_of(largest);
#pragma unroll
  for (int i = 0; i < Vectors; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at < vectors) give(args.out, ranks, int64_t{row} * vectors + at, to_e4m3(v[i], inverse));
  }
  const int to = threadIdx.x;
  if (to < ranks) args.scales[to][row] = largest / kE4m3Max;
}

// Its own rows: those of the residual stream whose number leaves the rank's.
template <int Vectors>
__global__ void __launch_bounds__(kPeerRowThreadsMax, peer_blocks_each(Vectors))
    norm_parts(PeerParts args) {
  let_next_kernel_start();
  const PeerNorm& norm = args.norm;
  const PeerGroup& group = norm.group;
  const int vectors = norm.width / 8;
  Bf16x8 w[Vectors];
  load_weights(norm.weight, vectors, w);
  wait_for_earlier_kernels();
  const uint32_t ticket = ticket_of(group, norm.index);
  meet_peers(group, ticket, blockIdx.x);
  const int begin = norm.row_index ? blockIdx.x : blockIdx.x * group.ranks + group.rank;
  const int step = norm.row_index ? gridDim.x : gridDim.x * group.ranks;
  for (int out_row = begin; out_row < norm.rows; out_row += step) {
    const int row = norm.row_index ? norm.row_index[out_row] : out_row;
    if (row % group.ranks != group.rank) continue;
    const int64_t first = int64_t{row} * vectors;
    auto* residual = static_cast<Bf16x8*>(norm.residual) + first;
    Bf16x8 v[Vectors];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < Vectors; ++i) {
      const int at = threadIdx.x + i * blockDim.x;
      if (at >= vectors) continue;
      residual[at] = v[i] = sum_of_ranks(norm, residual[at], first + at);
      sum += sum_of_squares(v[i]);
    }
    const float scale = rsqrtf(block_sum(sum) / norm.width + norm.epsilon);
#pragma unroll
    for (int i = 0; i < Vectors; ++i) {
      const int at = threadIdx.x + i * blockDim.x;
      if (at >= vectors) continue;
      v[i] = scaled(v[i], scale, w[i]);
      if (!norm.scales) give(args.out, group.ranks, int64_t{out_row} * vectors + at, v[i]);
    }
    if (norm.scales) give_e4m3(args, v, vectors, out_row);
    __syncthreads();  // The block's sums are read before the next row's are written.
  }
  __threadfence_system();
  __syncthreads();
  meet_peers(group, ticket + 1, blockIdx.x);  // What the others gave has come.
}

template <int Vectors>
int enqueue_with(const PeerParts& args, Stream stream) {
  const PeerNorm& norm = args.norm;
  const int ranks = norm.group.ranks;
  const int most = norm.row_index ? norm.rows : (norm.rows + ranks - 1) / ranks;
  return launch(norm_parts<Vectors>, peer_rows_shape<Vectors>(norm.width, most), stream, args);
}

int enqueue(const PeerParts& args, Stream stream) {
  return with_peer_vectors(args.norm.width,
                           [&](auto vectors) { return enqueue_with<vectors>(args, stream); });
}

}  // namespace

extern "C" int spillway_peer_parts(const PeerParts* args, Stream stream) {
  if (args->norm.rows == 0) return cudaSuccess;
  return enqueue(*args, stream);
}

}  // namespace spillway::kernels
