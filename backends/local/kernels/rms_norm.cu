// RMS norm of bf16 rows, with the residual add before it; one block a row, which stays in
// registers; in bf16, or in E4M3 with a scale.
#include "backends/local/kernels/fp8_rows.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kVectorsMax = 2;  // A thread holds up to this many vectors of 8.

__device__ float block_sum(float value) {
  __shared__ float partial[kBlockThreadsMax / kWarp];
  const int warps = (blockDim.x + kWarp - 1) / kWarp;
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = threadIdx.x % kWarp < warps ? partial[threadIdx.x % kWarp] : 0.0f;
  return warp_sum(value);
}

// v += residual in bf16 (the rounding that a stored residual stream has), and the stream is
// rewritten.
__device__ void add_residual(Bf16x8& v, Bf16x8* residual) {
  const Bf16x8 old = *residual;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 b = unpack(old.pair[p]);
    v.pair[p] = pack(a.x + b.x, a.y + b.y);
  }
  *residual = v;
}

__device__ float sum_of_squares(const Bf16x8& v) {
  float sum = 0.0f;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    sum += a.x * a.x + a.y * a.y;
  }
  return sum;
}

__device__ Bf16x8 scaled(const Bf16x8& v, float scale, const Bf16x8& weight) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 w = unpack(weight.pair[p]);
    out.pair[p] = pack(a.x * scale * w.x, a.y * scale * w.y);
  }
  return out;
}

__global__ void __launch_bounds__(kBlockThreadsMax) rms_norm(RmsNorm args) {
  let_next_kernel_start();
  const int vectors = args.width / 8;
  const auto* weight = static_cast<const Bf16x8*>(args.weight);
  Bf16x8 w[kVectorsMax];
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at < vectors) w[i] = weight[at];
  }
  wait_for_earlier_kernels();
  const int row = args.row_index ? args.row_index[blockIdx.x] : static_cast<int>(blockIdx.x);
  const int64_t begin = int64_t{row} * vectors;
  const auto* x = static_cast<const Bf16x8*>(args.x) + begin;
  auto* residual = static_cast<Bf16x8*>(args.residual);
  Bf16x8 v[kVectorsMax];
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kVectorsMax; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= vectors) continue;
    v[i] = x[at];
    if (args.x_scales) v[i] = scaled_by(v[i], args.x_scales[row], args.column_scales + at * 8);
    if (residual) add_residual(v[i], residual + begin + at);
    sum += sum_of_squares(v[i]);
  }
  const float scale = rsqrtf(block_sum(sum) / args.width + args.epsilon);
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

}  // namespace

extern "C" int spillway_rms_norm(const RmsNorm* args, Stream stream) {
  return launch_rows(rms_norm, args->rows, args->width, kVectorsMax, stream, *args);
}

}  // namespace spillway::kernels
