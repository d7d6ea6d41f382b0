// The latent row of each token: its norm, the rotation of what queries and keys share, and the
// append to the token's line. One block a row.
#include "backends/local/kernels/latent_kernels.h"
#include "backends/local/kernels/norm_rows.cuh"

namespace spillway::kernels {
namespace {

constexpr int kThreads = 160;
constexpr int kLatentVectors = kLatentWidth / 8;
constexpr int kRopeVectors = kLatentRope / 8;

// Pairs (2i, 2i + 1) of vector `at` of the rotated part.
__device__ Bf16x8 rotated(const Bf16x8& v, const float* cos_sin, int position, int at) {
  const auto* angles =
      reinterpret_cast<const float2*>(cos_sin) + int64_t{position} * (kLatentRope / 2) + at * 4;
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 turn = angles[p];
    out.pair[p] = pack(a.x * turn.x - a.y * turn.y, a.y * turn.x + a.x * turn.y);
  }
  return out;
}

__device__ Bf16x8* line_of(const LatentAppend& args, int row, int position) {
  const int32_t* table = args.page_table + int64_t{args.row_sequence[row]} * args.page_stride;
  const int64_t line =
      int64_t{table[position / kPageTokens]} * kPageTokens + position % kPageTokens;
  return static_cast<Bf16x8*>(args.pages) + line * (kLatentLine / 8);
}

__global__ void __launch_bounds__(kThreads) latent_append(LatentAppend args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x;
  const int position = args.positions[row];
  if (position < 0) return;
  const int head_vectors = args.key_width / 8 + kRopeVectors;
  const int row_vectors = args.heads * head_vectors + kLatentLine / 8;
  const auto* from = static_cast<const Bf16x8*>(args.projection) + int64_t{row} * row_vectors;
  const auto* latent = from + args.heads * head_vectors;
  Bf16x8* const line = line_of(args, row, position);
  Bf16x8 own = {};
  float squares = 0.0f;
  if (threadIdx.x < kLatentVectors) {
    own = latent[threadIdx.x];
    squares = sum_of_squares(own);
  }
  const float scale = rsqrtf(block_sum(squares) / kLatentWidth + args.norm_epsilon);
  if (threadIdx.x < kLatentVectors) {
    line[threadIdx.x] =
        scaled(own, scale, static_cast<const Bf16x8*>(args.norm_weight)[threadIdx.x]);
  }
  // The key's part as if it were one head more.
  for (int i = threadIdx.x; i < (args.heads + 1) * kRopeVectors; i += kThreads) {
    const int head = i / kRopeVectors;
    const int at = i % kRopeVectors;
    const bool of_key = head == args.heads;
    const Bf16x8& v =
        of_key ? latent[kLatentVectors + at] : from[head * head_vectors + args.key_width / 8 + at];
    Bf16x8* const to = of_key ? line
                              : static_cast<Bf16x8*>(args.queries) +
                                    (int64_t{row} * args.heads + head) * (kLatentLine / 8);
    to[kLatentVectors + at] = rotated(v, args.cos_sin, position, at);
  }
}

}  // namespace

extern "C" int spillway_latent_append(const LatentAppend* args, Stream stream) {
  if (args->key_width % 8 != 0) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(args->rows);
  shape.block = dim3(kThreads);
  return launch(latent_append, shape, stream, *args);
}

}  // namespace spillway::kernels
