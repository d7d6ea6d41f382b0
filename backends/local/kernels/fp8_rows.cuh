// Rows of E4M3 with one scale each: the largest value of a row becomes 448, the largest of E4M3.
#pragma once

#include "backends/local/kernels/e4m3.cuh"

namespace spillway::kernels {

// v · row_scale · columns, of the 8 columns from there.
__device__ inline Bf16x8 scaled_by(const Bf16x8& v, float row_scale, const float* columns) {
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 c = reinterpret_cast<const float2*>(columns)[p];
    out.pair[p] = pack(a.x * row_scale * c.x, a.y * row_scale * c.y);
  }
  return out;
}

// Of all threads of a block, which has at most 32 warps; called once by each.
__device__ inline float block_max(float value) {
  __shared__ float partial[kWarp];
  const int warps = (blockDim.x + kWarp - 1) / kWarp;
  value = warp_max(value);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = threadIdx.x % kWarp < warps ? partial[threadIdx.x % kWarp] : 0.0f;
  return warp_max(value);
}

// Of the row's vectors, of which each thread of the block holds every blockDim.x-th.
template <int Count>
__device__ float largest_in_row(const Bf16x8 (&v)[Count], int vectors) {
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    if (threadIdx.x + i * blockDim.x < vectors) largest = fmaxf(largest, largest_of(v[i]));
  }
  return block_max(largest);
}

// Puts the row's vectors, of which each thread of the block holds every blockDim.x-th, and its
// scale.
template <int Count>
__device__ void store_e4m3_row(const Bf16x8 (&v)[Count], int vectors, E4m3x8* out, float* scale) {
  const float largest = largest_in_row(v, vectors);
  const float inverse = inverse_scale_of(largest);
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at < vectors) out[at] = to_e4m3(v[i], inverse);
  }
  if (threadIdx.x == 0) *scale = largest / kE4m3Max;
}

}  // namespace spillway::kernels
