// How a head gets to its line of the KV pages: as bf16, or as E4M3 with a scale of its own.
#pragma once

#include "backends/local/kernels/e4m3.cuh"
#include "backends/local/kernels/head_pieces.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

// A line holds one head's key, or value, of one token.
__device__ inline int64_t page_line(int64_t page, int kv_heads, int kv_head, int position) {
  return (page * kv_heads + kv_head) * kPageTokens + position % kPageTokens;
}

// Of the head in the registers of four lanes. All lanes of a warp call it.
template <int Width>
__device__ float largest_of_head(const HeadPieces<Width>& h) {
  float largest = 0.0f;
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) largest = fmaxf(largest, largest_of(h.chunk[c]));
  largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
  return fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
}

// `pages` are keys or values, `scales` theirs or null for bf16; `largest` is largest_of_head, which
// counts only with scales.
template <int Width>
__device__ void store_line(const HeadPieces<Width>& h, float largest, void* pages, float* scales,
                           int64_t line) {
  if (scales == nullptr) {
    store_head<Width>(h, static_cast<__nv_bfloat16*>(pages) + line * Width);
    return;
  }
  auto* to = static_cast<unsigned char*>(pages) + line * Width;
  const float inverse = inverse_scale_of(largest);
#pragma unroll
  for (int c = 0; c < h.kChunks; ++c) {
    *reinterpret_cast<E4m3x8*>(to + piece_offset(c)) = to_e4m3(h.chunk[c], inverse);
  }
  if (threadIdx.x % 4 == 0) scales[line] = largest / kE4m3Max;
}

}  // namespace spillway::kernels
