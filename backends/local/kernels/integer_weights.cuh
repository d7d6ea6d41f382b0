// Words of integer weights as pairs of bf16, exactly: an integer in the mantissa of a bf16 whose
// steps are ones, less what that number is for zero.
#pragma once

#include "backends/local/kernels/device.cuh"
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

// Eight codes; pair p is of columns 2p and 2p + 1.
__device__ inline void widen_int4(uint32_t eight, uint32_t (&pair)[4]) {
  constexpr uint32_t kOneTwentyEight = 0x43004300u;
  constexpr uint32_t kZero = 0x43084308u;  // 128 + kInt4Zero
  static_assert(local::quantize::kInt4Zero == 8);
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    pair[p] = difference((eight >> (4 * p) & 0x000f000fu) | kOneTwentyEight, kZero);
  }
}

}  // namespace spillway::kernels
