// One warp of decode attention: its way over the pages of a sequence, with a running softmax.
//
// With keys as the 16 rows of an mma and heads as its 8 columns, S = K·Qᵀ and O = Vᵀ·Pᵀ: keys come
// straight from memory as fragments (sums over the head width may be taken in any order), values
// need only a byte permute, and P turns from result into operand by one 8×8 transpose. Both K and V
// of a page are in flight at once. Pages of E4M3 become bf16 in registers, 2^-120 of their size,
// which factors of 2^60 on the other operand and on the result make good; their scales go to the
// scores and to P.
#pragma once

#include "backends/local/kernels/attention_kernels.h"
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/head_pieces.cuh"
#include "backends/local/kernels/kv_pages.cuh"

#include <type_traits>

namespace spillway::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kHeads = 8;  // Query heads a block serves.
constexpr float kLog2E = 1.4426950408889634f;

struct HeadGroup {
  int row;
  int kv_head;
  int first;  // query head
  int count;
};

__device__ HeadGroup head_group(const DecodeAttention& args) {
  const int ratio = args.q_heads / args.kv_heads;
  const int groups = (ratio + kHeads - 1) / kHeads;
  const int kv_head = blockIdx.y / groups;
  const int offset = blockIdx.y % groups * kHeads;
  return {static_cast<int>(blockIdx.z), kv_head, kv_head * ratio + offset,
          min(kHeads, ratio - offset)};
}

__device__ uint32_t transpose_8x8(uint32_t row) {
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(row));
  return out;
}

// Eight dimensions of a key or value, as they lie in a page.
template <bool E4m3>
using Piece = std::conditional_t<E4m3, E4m3x8, Bf16x8>;

__device__ inline const Bf16x8& as_bf16(const Bf16x8& v) { return v; }

template <bool E4m3>
__device__ Piece<E4m3> load_piece(const char* address) {
  if constexpr (E4m3) {
    E4m3x8 v;
    asm volatile("ld.global.L1::no_allocate.L2::128B.v2.u32 {%0, %1}, [%2];"
                 : "=r"(v.word[0]), "=r"(v.word[1])
                 : "l"(address)
                 : "memory");
    return v;
  } else {
    return load_once(address);
  }
}

// One warp's running softmax over the pages it took. Lane 4g + t holds keys g and g + 8 of a page,
// and the heads 2t and 2t + 1 of everything it accumulates.
// `Narrowed`: there may be a window, or a cap of scores.
template <int Width, bool E4m3, bool Narrowed>
class PageWalker {
 public:
  static constexpr int kChunks = Width / 32;  // 32 dimensions that 4 lanes load
  static constexpr int kTiles = Width / 16;   // 16 dimensions of O each
  static constexpr int kPieces = Width / 64;  // Pieces of a value row that a lane holds
  static constexpr int kBytes = E4m3 ? 1 : 2;
  static constexpr float kUnlift = E4m3 ? 0x1p60f : 1.0f;  // What a product lacks.

  __device__ PageWalker(const DecodeAttention& args, const HeadGroup& heads)
      : args_(args), first_line_(heads.kv_head * kPageTokens) {
    table_ = args.page_table + int64_t{heads.row} * args.page_stride;
    const auto* q = static_cast<const __nv_bfloat16*>(args.q) + heads.row * args.q_stride;
    const int lane = threadIdx.x % kWarp;
    q_ = {};
    if (lane / 4 < heads.count) q_ = load_head<Width>(q, heads.first + lane / 4);
  }

  // Turns the raw projections in place of the queries into queries.
  __device__ void prepare_queries(const DecodeAttention& args, const HeadGroup& heads,
                                  int position) {
    if (threadIdx.x % kWarp / 4 < heads.count) {
      const int head = heads.first + threadIdx.x % kWarp / 4;
      add_bias<Width>(q_, args.bias, head);
    }
    if (args.q_norm) normalise<Width>(q_, args.q_norm, args.norm_epsilon);
    rotate<Width>(q_, args.cos_sin, position);
  }

  // Takes pages first, first + kWarps, … below end; keys from `keys` on do not exist, those before
  // `first_key` are not seen.
  __device__ void run(int first, int end, int keys, int first_key) {
    if (first >= end) return;
    first_key_ = first_key;
    if constexpr (E4m3) {
#pragma unroll
      for (Bf16x8& chunk : q_.chunk) lift(chunk.pair);
    }
    load_keys(table_[first], first, keys);
    load_values(table_[first], first, keys);
    for (int page = first; page < end; page += kWarps) {
      const int next = page + kWarps;
      const int next_page = next < end ? table_[next] : 0;
      float p[4];
      score(page, keys, p);
      if (next < end) load_keys(next_page, next, keys);
      accumulate(p);
      if (next < end) load_values(next_page, next, keys);
    }
  }

  float maximum[2] = {-INFINITY, -INFINITY};  // of heads 2t, 2t + 1, in units of log2
  float denominator[2] = {};                  // this lane's keys only
  float out[kTiles][4] = {};  // (dimension a, head 2t), (a, 2t + 1), (b, 2t), (b, 2t + 1)

 private:
  // Of the first line of this block's kv head in a page.
  __device__ int64_t line_of(int page) const {
    return int64_t{page} * args_.kv_heads * kPageTokens + first_line_;
  }

  __device__ void load_keys(int page, int index, int keys) {
    const int lane = threadIdx.x % kWarp;
    const char* from = static_cast<const char*>(args_.keys) + line_of(page) * (Width * kBytes);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int key = lane / 4 + 8 * half;
      const bool exists = index * kPageTokens + key < keys;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        k_[half][c] = {};
        if (exists) {
          k_[half][c] = load_piece<E4m3>(from + (key * Width + c * 32 + lane % 4 * 8) * kBytes);
        }
      }
      if constexpr (E4m3) key_scale_[half] = load_scale(args_.key_scales, page, key, exists);
    }
  }

  // Keys beyond the last must be zeros, not whatever the page holds: 0 · NaN is NaN.
  __device__ void load_values(int page, int index, int keys) {
    const int lane = threadIdx.x % kWarp;
    const char* from = static_cast<const char*>(args_.values) + line_of(page) * (Width * kBytes);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = lane % 4 * 2 + i % 2 + i / 2 * 8;
      const bool exists = index * kPageTokens + key < keys;
#pragma unroll
      for (int piece = 0; piece < kPieces; ++piece) {
        v_[i][piece] = {};
        if (exists) {
          v_[i][piece] =
              load_piece<E4m3>(from + (key * Width + piece * 64 + lane / 4 * 8) * kBytes);
        }
      }
    }
    if constexpr (E4m3) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {  // Of the keys whose P this lane holds.
        const int key = lane / 4 + 8 * half;
        const bool exists = index * kPageTokens + key < keys;
        value_scale_[half] = load_scale(args_.value_scales, page, key, exists);
      }
    }
  }

  __device__ float load_scale(const float* scales, int page, int key, bool exists) const {
    return exists ? __ldcg(scales + line_of(page) + key) * kUnlift : 0.0f;
  }

  // p = exp2(S - maximum) for keys g (heads 2t, 2t + 1) and g + 8, after everything before it was
  // rescaled.
  __device__ void score(int index, int keys, float (&p)[4]) {
    float s[4] = {};
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const Bf16x8 low = as_bf16(k_[0][c]);
      const Bf16x8 high = as_bf16(k_[1][c]);
      mma_16x8x16(s, low.pair[0], high.pair[0], low.pair[1], high.pair[1], q_.chunk[c].pair[0],
                  q_.chunk[c].pair[1]);
      mma_16x8x16(s, low.pair[2], high.pair[2], low.pair[3], high.pair[3], q_.chunk[c].pair[2],
                  q_.chunk[c].pair[3]);
    }
    const int key = index * kPageTokens + threadIdx.x % kWarp / 4;
    const float scale = args_.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (E4m3) s[i] *= key_scale_[i / 2];
      s[i] = capped(s[i] * scale);
      const int at = key + i / 2 * 8;
      if ((Narrowed && at < first_key_) || at >= keys) s[i] = -INFINITY;
    }
#pragma unroll
    for (int head = 0; head < 2; ++head) {
      float top = fmaxf(s[head], s[head + 2]);
#pragma unroll
      for (int offset = 4; offset < kWarp; offset *= 2) {
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, offset));
      }
      top = fmaxf(top, maximum[head]);  // Finite: a page that is taken has at least one key.
      const float shrink = exp2f(maximum[head] - top);
      maximum[head] = top;
      p[head] = exp2f(s[head] - top);
      p[head + 2] = exp2f(s[head + 2] - top);
      denominator[head] = denominator[head] * shrink + p[head] + p[head + 2];
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        out[tile][head] *= shrink;
        out[tile][head + 2] *= shrink;
      }
    }
  }

  // Of a score in units of log2.
  __device__ float capped(float s) const {
    const bool has_cap = Narrowed && args_.score_cap > 0.0f;
    return has_cap ? soft_cap(s, args_.score_cap * kLog2E) : s;
  }

  __device__ void accumulate(float (&p)[4]) {
    if constexpr (E4m3) {
#pragma unroll
      for (int i = 0; i < 4; ++i) p[i] *= value_scale_[i / 2];
    }
    const uint32_t b0 = transpose_8x8(pack(p[0], p[1]));
    const uint32_t b1 = transpose_8x8(pack(p[2], p[3]));
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const uint32_t a0 = key_pair(0, tile, 0);
      const uint32_t a1 = key_pair(0, tile, 1);
      const uint32_t a2 = key_pair(2, tile, 0);
      const uint32_t a3 = key_pair(2, tile, 1);
      mma_16x8x16(out[tile], a0, a1, a2, a3, b0, b1);
    }
  }

  // Two keys' values of the dimension that row g (half 0) or g + 8 (half 1) of a tile stands for:
  // see dimension().
  __device__ uint32_t key_pair(int i, int tile, int half) const {
    const int piece = Width == 64 ? 0 : half + tile / 8 * 2;
    const int element = Width == 64 ? tile + 4 * half : tile % 8;
    if constexpr (E4m3) {
      const uint32_t low = v_[i][piece].word[element / 4];
      const uint32_t high = v_[i + 1][piece].word[element / 4];
      return bf16_pair_of_e4m3(__byte_perm(low, high, 0x4000 + element % 4 * 0x1010));
    } else {
      const uint32_t low = v_[i][piece].pair[element / 2];
      const uint32_t high = v_[i + 1][piece].pair[element / 2];
      return __byte_perm(low, high, element % 2 == 0 ? 0x5410 : 0x7632);
    }
  }

  const DecodeAttention& args_;
  const int first_line_;
  int first_key_ = 0;
  const int32_t* table_;
  HeadPieces<Width> q_;
  Piece<E4m3> k_[2][kChunks];
  Piece<E4m3> v_[4][kPieces];
  float key_scale_[2];    // Of E4M3, with what the product lacks.
  float value_scale_[2];  // The same.
};

}  // namespace
}  // namespace spillway::kernels
