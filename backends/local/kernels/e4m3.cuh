// Numbers of E4M3, eight at a time, from bf16 and to it.
#pragma once

#include "backends/local/kernels/device.cuh"

namespace spillway::kernels {

inline constexpr float kE4m3Max = 448.0f;

struct alignas(8) E4m3x8 {
  uint32_t word[2];
};

__device__ inline float largest_of(const Bf16x8& v) {
  float largest = 0.0f;
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    largest = fmaxf(largest, fmaxf(fabsf(a.x), fabsf(a.y)));
  }
  return largest;
}

// The lower half of the result is of the lower argument. Nearest, even among equals; saturates.
__device__ inline uint32_t to_e4m3_pair(float low, float high) {
  uint16_t both;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(both) : "f"(high), "f"(low));
  return both;
}

__device__ inline E4m3x8 to_e4m3(const Bf16x8& v, float inverse_scale) {
  uint32_t half[4];
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    half[p] = to_e4m3_pair(a.x * inverse_scale, a.y * inverse_scale);
  }
  return {{half[0] | half[1] << 16, half[2] | half[3] << 16}};
}

// What brings a row whose largest value is this into the range of E4M3.
__device__ inline float inverse_scale_of(float largest) {
  return largest > 0.0f ? kE4m3Max / largest : 0.0f;
}

// The upper bytes of two halves as two bf16, 2^-120 of their size: exponent and mantissa move to
// where bf16 has them. The lower bytes do not matter.
__device__ inline uint32_t bf16_pair_of_e4m3(uint32_t upper_bytes) {
  constexpr uint32_t kSigns = 0x80008000u;
  constexpr uint32_t kMagnitudes = 0x07f007f0u;
  return (upper_bytes & kSigns) | (upper_bytes >> 4 & kMagnitudes);
}

// Four numbers as bf16, 2^-120 of their size.
__device__ inline void unpack_e4m3(uint32_t four, uint32_t (&pair)[2]) {
  pair[0] = bf16_pair_of_e4m3(__byte_perm(four, 0, 0x1404));
  pair[1] = bf16_pair_of_e4m3(__byte_perm(four, 0, 0x3424));
}

// Eight numbers as bf16, 2^-120 of their size.
__device__ inline Bf16x8 as_bf16(const E4m3x8& v) {
  Bf16x8 out;
  unpack_e4m3(v.word[0], reinterpret_cast<uint32_t (&)[2]>(out.pair[0]));
  unpack_e4m3(v.word[1], reinterpret_cast<uint32_t (&)[2]>(out.pair[2]));
  return out;
}

// v · 2^60: beside numbers that are 2^-120 of their size, products stay far from the ends of fp32.
template <int Pairs>
__device__ void lift(uint32_t (&v)[Pairs]) {
  const __nv_bfloat162 factor = __float2bfloat162_rn(0x1p60f);
#pragma unroll
  for (uint32_t& pair : v) {
    const __nv_bfloat162 product = __hmul2(reinterpret_cast<__nv_bfloat162&>(pair), factor);
    pair = reinterpret_cast<const uint32_t&>(product);
  }
}

}  // namespace spillway::kernels
