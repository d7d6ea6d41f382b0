// Bias, head norm, rotation and append for any convention of pairs and any rotary width: one warp a
// head, element by element, into pages of bf16. The usual convention has a faster way:
// rope_append.cu.
#pragma once

#include "backends/local/kernels/attention_kernels.h"
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kv_pages.cuh"

namespace spillway::kernels {
namespace {

constexpr int kRopeWarps = 4;

// Where a row's key or value goes.
__device__ int64_t line_of(const RopeAppend& args, int row, int kv_head, int position) {
  const int sequence = args.row_sequence ? args.row_sequence[row] : row;
  const int64_t page =
      args.page_table[int64_t{sequence} * args.page_stride + position / kPageTokens];
  return page_line(page, args.kv_heads, kv_head, position);
}

__device__ __nv_bfloat16* cache_row(const RopeAppend& args, void* cache, int row, int kv_head,
                                    int position) {
  return static_cast<__nv_bfloat16*>(cache) +
         line_of(args, row, kv_head, position) * args.head_width;
}

// Lane l owns the pairs l · Pairs … of a head; a pair is the two elements that a rotation mixes.
// Elements past the rotary width are paired with their neighbour and passed through.
template <int Width>
struct HeadPairs {
  static constexpr int kPairs = Width / 2 / kWarp;
  float first[kPairs];
  float second[kPairs];
};

struct PairAt {
  int first;
  int second;
};

__device__ PairAt pair_at(const RopeAppend& args, int pair) {
  const int half = args.rotary_width / 2;
  if (pair >= half || args.interleaved) return {2 * pair, 2 * pair + 1};
  return {pair, pair + half};
}

template <int Width>
__device__ HeadPairs<Width> load_pairs(const RopeAppend& args, const __nv_bfloat16* head,
                                       int offset) {
  HeadPairs<Width> h;
  const auto* bias = static_cast<const __nv_bfloat16*>(args.bias);
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    h.first[i] = __bfloat162float(head[at.first]);
    h.second[i] = __bfloat162float(head[at.second]);
    if (bias) {
      h.first[i] += __bfloat162float(bias[offset + at.first]);
      h.second[i] += __bfloat162float(bias[offset + at.second]);
    }
  }
  return h;
}

template <int Width>
__device__ void normalise_pairs(const RopeAppend& args, HeadPairs<Width>& h, const void* norm) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) sum += h.first[i] * h.first[i] + h.second[i] * h.second[i];
  const float scale = rsqrtf(warp_sum(sum) / Width + args.norm_epsilon);
  const auto* weight = static_cast<const __nv_bfloat16*>(norm);
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    h.first[i] *= scale * __bfloat162float(weight[at.first]);
    h.second[i] *= scale * __bfloat162float(weight[at.second]);
  }
}

template <int Width>
__device__ void rotate_pairs(const RopeAppend& args, HeadPairs<Width>& h, int position) {
  const int half = args.rotary_width / 2;
  const auto* angles = reinterpret_cast<const float2*>(args.cos_sin) + int64_t{position} * half;
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const int pair = (threadIdx.x % kWarp) * h.kPairs + i;
    if (pair >= half) continue;
    const float2 a = angles[pair];
    const float first = h.first[i] * a.x - h.second[i] * a.y;
    h.second[i] = h.second[i] * a.x + h.first[i] * a.y;
    h.first[i] = first;
  }
}

template <int Width>
__device__ void store_pairs(const RopeAppend& args, const HeadPairs<Width>& h,
                            __nv_bfloat16* head) {
#pragma unroll
  for (int i = 0; i < h.kPairs; ++i) {
    const PairAt at = pair_at(args, (threadIdx.x % kWarp) * h.kPairs + i);
    head[at.first] = __float2bfloat16(h.first[i]);
    head[at.second] = __float2bfloat16(h.second[i]);
  }
}

template <int Width>
__global__ void __launch_bounds__(kRopeWarps* kWarp) rope_any(RopeAppend args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int heads = args.q_heads + 2 * args.kv_heads;
  const int head = blockIdx.y * kRopeWarps + threadIdx.x / kWarp;
  const int row = blockIdx.x;
  const int position = args.positions[row];
  if (head >= heads || position < 0) return;
  auto* qkv = static_cast<__nv_bfloat16*>(args.qkv) + (int64_t{row} * heads + head) * Width;
  HeadPairs<Width> h = load_pairs<Width>(args, qkv, head * Width);
  const int kv_head = head - args.q_heads;
  if (kv_head >= args.kv_heads) {
    store_pairs(args, h, cache_row(args, args.values, row, kv_head - args.kv_heads, position));
    return;
  }
  const void* norm = kv_head < 0 ? args.q_norm : args.k_norm;
  if (norm) normalise_pairs(args, h, norm);
  rotate_pairs(args, h, position);
  store_pairs(args, h, kv_head < 0 ? qkv : cache_row(args, args.keys, row, kv_head, position));
}

}  // namespace
}  // namespace spillway::kernels
