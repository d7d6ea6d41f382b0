// Words of integer weights as pairs of bf16, exactly: an integer in the mantissa of a bf16 whose
// steps are ones, less what that number is for zero. And the words of groups of four bits.
#pragma once

#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"
#include "backends/local/quantize/integer_codes.h"

namespace spillway::kernels {

__host__ __device__ inline int groups_of(int columns) {
  return (columns + local::quantize::kInt4Group - 1) / local::quantize::kInt4Group;
}

__device__ inline uint32_t difference(uint32_t pair, uint32_t base) {
  const __nv_bfloat162 d = __hsub2(reinterpret_cast<const __nv_bfloat162&>(pair),
                                   reinterpret_cast<const __nv_bfloat162&>(base));
  return reinterpret_cast<const uint32_t&>(d);
}

// Four bytes of two's complement. 0x43 and the lower seven bits are 128 + them; 0x43 and the sign
// are 128, or 256 where it is set: the difference is what the byte says.
__device__ inline void widen_int8(uint32_t four, uint32_t (&pair)[2]) {
  constexpr uint32_t kBytes = 0x43434343u;
#pragma unroll
  for (int p = 0; p < 2; ++p) {
    const uint32_t both = __byte_perm(four, kBytes, p == 0 ? 0x4140 : 0x4342);
    pair[p] = difference(both & 0xff7fff7fu, both & 0xff80ff80u);
  }
}

__device__ inline uint32_t times(uint32_t pair, uint32_t scale) {
  const __nv_bfloat162 product = __hmul2(reinterpret_cast<const __nv_bfloat162&>(pair),
                                         reinterpret_cast<const __nv_bfloat162&>(scale));
  return reinterpret_cast<const uint32_t&>(product);
}

// Of a group of four bits: its scale, and 128 + its zero point, which is in the middle where the
// format says nothing of it. As it was loaded: who does something with it at once waits for it.
template <int Format>
struct GroupWord {
  // The one at `index` of a format's scales.
  __device__ static GroupWord at(const void* scales, int64_t index) {
    if constexpr (has_zeros(Format)) return {static_cast<const uint32_t*>(scales)[index]};
    return {static_cast<const uint16_t*>(scales)[index]};
  }

  __device__ float scale() const {
    return __uint_as_float(has_zeros(Format) ? word & 0xffff0000u : word << 16);
  }
  __device__ uint32_t scales() const {  // Twice.
    return __byte_perm(word, 0, has_zeros(Format) ? 0x3232 : 0x1010);
  }
  __device__ uint32_t zeros() const {  // Likewise.
    static_assert(local::quantize::kInt4Zero == 8);
    return has_zeros(Format) ? __byte_perm(word, 0, 0x1010) : 0x43084308u;
  }

  uint32_t word = 0;
};

// Two codes, in the lowest bits of either half.
__device__ inline uint32_t less_zero(uint32_t codes, uint32_t zeros) {
  constexpr uint32_t kOneTwentyEight = 0x43004300u;
  return difference((codes & 0x000f000fu) | kOneTwentyEight, zeros);
}

// Eight codes; pair p is of columns 2p and 2p + 1.
__device__ inline void widen_int4(uint32_t eight, uint32_t zeros, uint32_t (&pair)[4]) {
#pragma unroll
  for (int p = 0; p < 4; ++p) pair[p] = less_zero(eight >> (4 * p), zeros);
}

}  // namespace spillway::kernels
