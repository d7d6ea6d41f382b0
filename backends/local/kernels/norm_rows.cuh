// The parts of an RMS norm of rows that stay in the registers of a block, with the residual add
// before it.
#pragma once

#include "backends/local/kernels/device.cuh"

namespace spillway::kernels {

__device__ inline float block_sum(float value) {
  __shared__ float partial[kBlockThreadsMax / kWarp];
  const int warps = (blockDim.x + kWarp - 1) / kWarp;
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = threadIdx.x % kWarp < warps ? partial[threadIdx.x % kWarp] : 0.0f;
  return warp_sum(value);
}

// What each thread of the block needs of a row's weights: every blockDim.x-th vector.
template <int Count>
__device__ void load_weights(const void* weight, int vectors, Bf16x8 (&w)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at < vectors) w[i] = static_cast<const Bf16x8*>(weight)[at];
  }
}

// v += residual in bf16 (the rounding that a stored residual stream has), and the stream is
// rewritten.
__device__ inline void add_residual(Bf16x8& v, Bf16x8* residual) {
  const Bf16x8 old = *residual;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 b = unpack(old.pair[p]);
    v.pair[p] = pack(a.x + b.x, a.y + b.y);
  }
  *residual = v;
}

__device__ inline float sum_of_squares(const Bf16x8& v) {
  float sum = 0.0f;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    sum += a.x * a.x + a.y * a.y;
  }
  return sum;
}

__device__ inline Bf16x8 scaled(const Bf16x8& v, float scale, const Bf16x8& weight) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 w = unpack(weight.pair[p]);
    out.pair[p] = pack(a.x * scale * w.x, a.y * scale * w.y);
  }
  return out;
}

}  // namespace spillway::kernels
