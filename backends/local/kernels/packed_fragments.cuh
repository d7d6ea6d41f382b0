// Rows of packed weights in shared memory as operands of wgmma, which takes them from registers.
//
// Columns stand in their order, as x's do: a lane picks its two of each 8 from words that it reads
// together with its neighbours. 64 bytes of a row lie as the copy engine brings them with a swizzle
// of 64 bytes, so that 8 rows of a column lie in 8 different bank groups.
#pragma once

#include "backends/local/kernels/integer_weights.cuh"
#include "backends/local/kernels/warpgroup.cuh"

namespace spillway::kernels {
namespace {

constexpr int kPackedRowBytes = 64;

template <int Rows>
struct PackedTile {
  alignas(512) unsigned char bytes[Rows * kPackedRowBytes];

  __device__ const unsigned char* piece(int row, int piece) const {
    return bytes + row * kPackedRowBytes + (piece ^ (row / 2 % 4)) * 16;
  }
};

// The operands of 64 columns: four times 16, of rows g and g + 8 of a warp's 16 as mma has them.
using Fragments = uint32_t[4][4];

// This lane's two of a word of int4, scaled as widened weights are.
template <int Format>
__device__ uint32_t pick_int4(uint32_t word, GroupWord<Format> group) {
  return times(less_zero(word >> (threadIdx.x % 4 * 4), group.zeros()), group.scales());
}

// Of 128 columns: the groups' words, of two rows.
template <int Format>
using GroupWords = GroupWord<Format>[128 / group_columns(Format)][2];

// Of half of 128 columns.
template <int Rows, int Format>
__device__ void take_int4(Fragments& out, const PackedTile<Rows>& tile, int row, int half,
                          const GroupWords<Format>& groups) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int p = 0; p < 2; ++p) {
      const int piece = half * 2 + p;  // Of 32 columns.
      const auto words = *reinterpret_cast<const uint4*>(tile.piece(row + r * 8, piece));
      const GroupWord<Format> group = groups[piece * 32 / group_columns(Format)][r];
      out[2 * p][r] = pick_int4(words.x, group);
      out[2 * p][r + 2] = pick_int4(words.y, group);
      out[2 * p + 1][r] = pick_int4(words.z, group);
      out[2 * p + 1][r + 2] = pick_int4(words.w, group);
    }
  }
}

// Two bytes, exactly.
__device__ inline uint32_t widen_two(uint32_t two) {
  const uint32_t both = __byte_perm(two, 0x43434343u, 0x4140);
  return difference(both & 0xff7fff7fu, both & 0xff80ff80u);
}

template <int Rows>
__device__ void take_int8(Fragments& out, const PackedTile<Rows>& tile, int row) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const auto* const two =
          reinterpret_cast<const uint16_t*>(tile.piece(row + r * 8, p)) + threadIdx.x % 4;
      out[p][r] = widen_two(two[0]);
      out[p][r + 2] = widen_two(two[4]);
    }
  }
}

}  // namespace
}  // namespace spillway::kernels
