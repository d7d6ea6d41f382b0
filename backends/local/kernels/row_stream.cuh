// Rows of weights that stream once from memory straight into mma fragments, times up to 8 tokens.
//
// Sums over k may be taken in any order as long as both operands agree, so a lane takes 16
// contiguous bytes of a weight row where the fragment layout asks for scattered pairs, and the same
// 16 bytes of x: nothing passes through shared memory on its way to the tensor cores. A block owns
// 16 or 32 rows and deals their k to its warps, whose sums meet in shared memory once. The first
// weights are on their way before the kernel waits for its input.
//
// Packed weights become bf16 in registers. E4M3 does by moving bits: exponent and mantissa land
// where bf16 has them, which makes every weight 2^-120 of what it is. x is multiplied by 2^60 on
// the way in, so that products stay far from the ends of fp32, and the scale of the row by 2^60 at
// the end. Integers come out exactly; the 64 bytes of a row that a warp takes at once are one group
// of int4, whose sums are scaled before they join the others. Of smaller groups a lane's 16 bytes
// are one, or of one, and weights are scaled, and rounded, before they are multiplied.
#pragma once

#include "backends/local/kernels/e4m3.cuh"
#include "backends/local/kernels/integer_weights.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kChunkBytes = 64;  // of a row of weights that one warp takes with one load a lane
constexpr int kRows = 16;        // of an mma tile
constexpr int kScratchStride = kSkinnyTokensMax + 1;  // Spreads the rows of a tile over the banks.

// Weights in 16 bytes.
template <int Format>
constexpr int kWeightsOfVector = Format == kBf16   ? 8
                                 : is_int4(Format) ? 32
                                                   : 16;

// Bytes of a row of k weights.
template <int Format>
__host__ __device__ int64_t row_bytes_of(int k) {
  if (is_int4(Format)) return int64_t{groups_of(k)} * kChunkBytes;
  return int64_t{k} * (16 / kWeightsOfVector<Format>);
}

struct Slice {
  int begin;  // chunks of k
  int end;
};

__device__ inline Slice slice_of(int chunks, int part, int parts) {
  return {chunks * part / parts, chunks * (part + 1) / parts};
}

// What the sums of a row of weights are multiplied by; int4 has its scales in them.
template <int Format>
__device__ float row_scale(const void* scales, int64_t row) {
  if (is_int4(Format) || scales == nullptr) return 1.0f;
  const float scale = static_cast<const float*>(scales)[row];
  return Format == kE4m3 ? scale * 0x1p60f : scale;
}

// v · weight, rounded; returns the squares of v.
__device__ float weigh(Bf16x8& v, const Bf16x8& weight) {
  float squares = 0.0f;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    const float2 w = unpack(weight.pair[p]);
    squares += a.x * a.x + a.y * a.y;
    v.pair[p] = pack(a.x * w.x, a.y * w.y);
  }
  return squares;
}

// One warp's share of k: streams rows of W and multiplies them with all tokens. Lane 4g + t holds
// rows g and g + 8 of every tile, and x of token g. Where a norm is asked for, x is multiplied by
// its weight here and by 1/rms at the very end, so that one pass over x is enough.
template <int Format, int Tiles, int Loads, int LoadsX>
class RowStream {
 public:
  static constexpr int kVectorsX = kWeightsOfVector<Format> / 8;  // of x that a lane takes
  static constexpr int kChunk = 4 * kWeightsOfVector<Format>;     // k of it
  static constexpr int kAhead = Loads / (2 * Tiles);              // Chunks of W under way.
  static constexpr int kAheadX = LoadsX / kVectorsX;  // Of x, which comes from the L2 or nearer.

  // Asks for the first weights. `rows` are all that the matrix has.
  __device__ RowStream(const void* weight, const void* scales, int k, const int (&first_row)[Tiles],
                       int rows, Slice slice)
      : slice_(slice),
        row_bytes_(row_bytes_of<Format>(k)),
        rows_(rows),
        vectors_(k / 8),
        scales_(scales) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const int row = first_row[tile] + lane / 4;
      from_[tile] = static_cast<const char*>(weight) + row * row_bytes_ + lane % 4 * 16;
      if (is_int4(Format)) first_group_[tile] = int64_t{lane % 4 * 32 / kGroup} * rows + row;
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) fetch(u, slice.begin + u);
  }

  // `x` is the row of token lane / 4, or null if there is none.
  __device__ void run(const void* x, const void* norm_weight) {
    const int lane = threadIdx.x % kWarp;
    if (x) x_from_ = static_cast<const Bf16x8*>(x) + lane % 4 * kVectorsX;
    if (norm_weight) norm_from_ = static_cast<const Bf16x8*>(norm_weight) + lane % 4 * kVectorsX;
#pragma unroll
    for (int u = 0; u < kAheadX; ++u) fetch_x(u, slice_.begin + u);
    for (int chunk = slice_.begin; chunk < slice_.end; chunk += kAhead) {
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (chunk + u >= slice_.end) break;
        multiply(u);
        fetch_x(u % kAheadX, chunk + u + kAheadX);
        fetch(u, chunk + u + kAhead);
      }
    }
    squares += __shfl_xor_sync(kAllLanes, squares, 1);
    squares += __shfl_xor_sync(kAllLanes, squares, 2);
  }

  float sum[Tiles][4] = {};
  float squares = 0.0f;  // of this share of token g

 private:
  using Group = GroupWord<Format>;
  static constexpr int kGroup = group_columns(Format);
  static constexpr bool kScaledBefore = is_int4(Format) && kGroup < kChunk;

  __device__ void fetch(int slot, int chunk) {
    if (chunk >= slice_.end) return;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const char* at = from_[tile] + chunk * kChunkBytes;
      w_[slot][tile][0] = load_weights(at);
      w_[slot][tile][1] = load_weights(at + 8 * row_bytes_);
      if constexpr (is_int4(Format)) {
        const int64_t group = first_group_[tile] + int64_t{chunk} * (kChunk / kGroup) * rows_;
        group_[slot][tile][0] = Group::at(scales_, group);
        group_[slot][tile][1] = Group::at(scales_, group + 8);
      }
    }
  }

  __device__ void fetch_x(int slot, int chunk) {
#pragma unroll
    for (int i = 0; i < kVectorsX; ++i) {
      x_[slot][i] = {};
      if (is_int4(Format)) norm_[slot][i] = {};
      if (chunk >= slice_.end || beyond(chunk, i)) continue;
      if (x_from_) x_[slot][i] = x_from_[chunk * (kChunk / 8) + i];
      if (norm_from_) norm_[slot][i] = norm_from_[chunk * (kChunk / 8) + i];
    }
  }

  // Whether there is no such vector of x: the last group of int4 may be a part of one.
  __device__ bool beyond(int chunk, int i) const {
    if (!is_int4(Format)) return false;
    return chunk * (kChunk / 8) + threadIdx.x % 4 * kVectorsX + i >= vectors_;
  }

  __device__ void multiply(int slot) {
    Bf16x8 b[kVectorsX];
#pragma unroll
    for (int i = 0; i < kVectorsX; ++i) {
      b[i] = x_[slot % kAheadX][i];
      if (norm_from_) squares += weigh(b[i], norm_[slot % kAheadX][i]);
      if (Format == kE4m3) lift(b[i].pair);
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const Bf16x8& low = w_[slot][tile][0];
      const Bf16x8& high = w_[slot][tile][1];
      const Group(&group)[2] = group_[slot][tile];
      if constexpr (is_int4(Format) && !kScaledBefore) {
        float of_group[4] = {};
        multiply_vectors(of_group, low, high, b, group);
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[tile][i] += of_group[i] * group[i / 2].scale();
      } else {
        multiply_vectors(sum[tile], low, high, b, group);
      }
    }
  }

  static __device__ void multiply_vectors(float (&d)[4], const Bf16x8& low, const Bf16x8& high,
                                          const Bf16x8 (&x)[kVectorsX], const Group (&group)[2]) {
    if constexpr (Format == kBf16) {
      mma_16x8x16(d, low.pair[0], high.pair[0], low.pair[1], high.pair[1], x[0].pair[0],
                  x[0].pair[1]);
      mma_16x8x16(d, low.pair[2], high.pair[2], low.pair[3], high.pair[3], x[0].pair[2],
                  x[0].pair[3]);
    } else {
#pragma unroll
      for (int word = 0; word < 4; ++word) {
        uint32_t a[kPairs], c[kPairs];
        widen(low.pair[word], group[0], a);
        widen(high.pair[word], group[1], c);
#pragma unroll
        for (int p = 0; p < kPairs; p += 2) {
          const int at = word * kPairs + p;
          const uint32_t* b = x[at / 4].pair + at % 4;
          mma_16x8x16(d, a[p], c[p], a[p + 1], c[p + 1], b[0], b[1]);
        }
      }
    }
  }

  // Pairs of bf16 that a word of packed weights becomes.
  static constexpr int kPairs = kWeightsOfVector<Format> / 8;

  static __device__ void widen(uint32_t word, Group group, uint32_t (&pair)[kPairs]) {
    if constexpr (Format == kE4m3) unpack_e4m3(word, pair);
    if constexpr (Format == kInt8) widen_int8(word, pair);
    if constexpr (is_int4(Format)) widen_int4(word, group.zeros(), pair);
    if constexpr (kScaledBefore) {
#pragma unroll
      for (int p = 0; p < kPairs; ++p) pair[p] = times(pair[p], group.scales());
    }
  }

  const Slice slice_;
  const int64_t row_bytes_;
  const int rows_;
  const int vectors_;  // Of x, in a row.
  const char* from_[Tiles];
  const void* const scales_;    // Of int4.
  int64_t first_group_[Tiles];  // Where this lane's are.
  Group group_[kAhead][Tiles][2];
  const Bf16x8* x_from_ = nullptr;
  const Bf16x8* norm_from_ = nullptr;
  Bf16x8 w_[kAhead][Tiles][2];
  Bf16x8 x_[kAheadX][kVectorsX];
  Bf16x8 norm_[kAheadX][kVectorsX];
};

// Where the sums of the warps meet.
template <int Tiles, int Warps>
struct Scratch {
  float sum[Warps][Tiles * kRows * kScratchStride];
  float squares[Warps][kSkinnyTokensMax];

  template <class Stream>
  __device__ void put(const Stream& stream) {
    const int lane = threadIdx.x % kWarp;
    const int warp = threadIdx.x / kWarp;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = tile * kRows + lane / 4 + i / 2 * 8;
        sum[warp][row * kScratchStride + lane % 4 * 2 + i % 2] = stream.sum[tile][i];
      }
    }
    if (lane % 4 == 0) squares[warp][lane / 4] = stream.squares;
  }

  __device__ float total(int row, int token) const {
    float value = 0.0f;
#pragma unroll
    for (int warp = 0; warp < Warps; ++warp) value += sum[warp][row * kScratchStride + token];
    return value;
  }

  __device__ float inverse_rms(int k, float epsilon, int token) const {
    float value = 0.0f;
#pragma unroll
    for (int warp = 0; warp < Warps; ++warp) value += squares[warp][token];
    return rsqrtf(value / k + epsilon);
  }
};

}  // namespace
}  // namespace spillway::kernels
