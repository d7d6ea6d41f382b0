// RMS norm of bf16 rows, with the residual add before it or behind it; one block a row, which stays
// in registers; in bf16, or in E4M3 with a scale.
#include "backends/local/kernels/fp8_rows.cuh"
#include "backends/local/kernels/kernels.h"
#include "backends/local/kernels/norm_rows.cuh"

namespace spillway::kernels {
namespace {

constexpr int kVectorsMax = 2;  // A thread holds up to this many vectors of 8.

// The thread's part of a row, scaled and with the residual added if there is one, goes to `v`;
// returns what norms the row.
template <class Args>
__device__ float norm_of_row(const Args& args, int row, Bf16x8* residual, Bf16x8* v) {
  const int vectors = args.width / 8;
  const auto* x = static_cast<const Bf16x8*>(args.x) + int64_t{row} * vectors;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= vectors) continue;
    v[i] = x[at];
    if (args.x_scales) v[i] = scaled_by(v[i], args.x_scales[row], args.column_scales + at * 8);
    if (residual) add_residual(v[i], residual + at);
    sum += sum_of_squares(v[i]);
  }
  return rsqrtf(block_sum(sum) / args.width + args.epsilon);
}

__global__ void __launch_bounds__(kBlockThreadsMax) rms_norm(RmsNorm args) {
  let_next_kernel_start();
  const int vectors = args.width / 8;
  Bf16x8 w[kVectorsMax];
  load_weights(args.weight, vectors, w);
  wait_for_earlier_kernels();
  const int row = args.row_index ? args.row_index[blockIdx.x] : static_cast<int>(blockIdx.x);
  auto* residual = static_cast<Bf16x8*>(args.residual);
  if (residual) residual += int64_t{row} * vectors;
  Bf16x8 v[kVectorsMax];
  const float scale = norm_of_row(args, row, residual, v);
  const int64_t to = int64_t{blockIdx.x} * vectors;
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= vectors) continue;
    v[i] = scaled(v[i], scale, w[i]);
    if (!args.scales) static_cast<Bf16x8*>(args.out)[to + at] = v[i];
  }
  if (args.scales) {
    store_e4m3_row(v, vectors, static_cast<E4m3x8*>(args.out) + to, args.scales + blockIdx.x);
  }
}

__global__ void __launch_bounds__(kBlockThreadsMax) add_normed(AddNormed args) {
  let_next_kernel_start();
  const int vectors = args.width / 8;
  auto* residual = static_cast<Bf16x8*>(args.residual) + int64_t{blockIdx.x} * vectors;
  wait_for_earlier_kernels();
  Bf16x8 v[kVectorsMax];
  const float scale = norm_of_row(args, static_cast<int>(blockIdx.x), nullptr, v);
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= vectors) continue;
    v[i] = scaled(v[i], scale, static_cast<const Bf16x8*>(args.weight)[at]);
    add_residual(v[i], residual + at);
  }
}

}  // namespace

extern "C" int spillway_add_normed(const AddNormed* args, Stream stream) {
  return launch_rows(add_normed, args->rows, args->width, kVectorsMax, stream, *args);
}

extern "C" int spillway_rms_norm(const RmsNorm* args, Stream stream) {
  return launch_rows(rms_norm, args->rows, args->width, kVectorsMax, stream, *args);
}

}  // namespace spillway::kernels
