// Sixteen floats at once in plain C++, for functions marked SPILLWAY_VECTOR_CLONES.
//
// The compiler cuts a Lanes into what the processor has: one, two or four registers. Values of
// these types must not cross a function that is not inlined.
#pragma once

#include <cstdint>
#include <cstring>

namespace spillway::local::ops {

inline constexpr int kLanes = 16;

typedef float Lanes __attribute__((vector_size(64)));
typedef std::int32_t IntLanes __attribute__((vector_size(64)));
typedef std::int16_t ShortLanes __attribute__((vector_size(32)));

#define SPILLWAY_INLINE __attribute__((always_inline)) inline

SPILLWAY_INLINE void load(Lanes& lanes, const float* at) { std::memcpy(&lanes, at, sizeof lanes); }
SPILLWAY_INLINE void store(float* at, const Lanes& lanes) { std::memcpy(at, &lanes, sizeof lanes); }

// Thirty-two 16-bit integers as floats: those at even places and those at odd ones. Two shifts do
// it, where a conversion from 16 bits takes g++ 12 eight instructions.
SPILLWAY_INLINE void load_pairs(Lanes& even, Lanes& odd, const std::int16_t* at) {
  IntLanes words;
  std::memcpy(&words, at, sizeof words);
  even = __builtin_convertvector((words << 16) >> 16, Lanes);
  odd = __builtin_convertvector(words >> 16, Lanes);
}

// Sixteen floats that are whole numbers as 16-bit integers.
SPILLWAY_INLINE void store(std::int16_t* at, const Lanes& lanes) {
  const IntLanes wide = __builtin_convertvector(lanes, IntLanes);
  const ShortLanes shorts = __builtin_convertvector(wide, ShortLanes);
  std::memcpy(at, &shorts, sizeof shorts);
}

SPILLWAY_INLINE Lanes magnitude(const Lanes& lanes) { return lanes < 0.0f ? -lanes : lanes; }

// To the nearest whole number, by pushing the fraction out of the mantissa; for |x| < 2²².
SPILLWAY_INLINE Lanes rounded(const Lanes& lanes) { return (lanes + 12582912.0f) - 12582912.0f; }

SPILLWAY_INLINE Lanes larger(const Lanes& a, const Lanes& b) { return a > b ? a : b; }

// Lanes by pairs, i with i ^ kDistance, each in the other's place.
template <int kDistance>
SPILLWAY_INLINE Lanes exchanged(const Lanes& lanes) {
  constexpr IntLanes kPlaces{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return __builtin_shuffle(lanes, kPlaces ^ kDistance);
}

SPILLWAY_INLINE float largest(Lanes lanes) {
  lanes = larger(lanes, exchanged<8>(lanes));
  lanes = larger(lanes, exchanged<4>(lanes));
  lanes = larger(lanes, exchanged<2>(lanes));
  lanes = larger(lanes, exchanged<1>(lanes));
  return lanes[0];
}

SPILLWAY_INLINE float sum(Lanes lanes) {
  lanes += exchanged<8>(lanes);
  lanes += exchanged<4>(lanes);
  lanes += exchanged<2>(lanes);
  lanes += exchanged<1>(lanes);
  return lanes[0];
}

// Thirty-two floats that are whole numbers as 16-bit integers, two to a word as they follow.
SPILLWAY_INLINE void pair_up(IntLanes& words, const Lanes& low, const Lanes& high) {
  constexpr IntLanes kEven{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  const Lanes even = __builtin_shuffle(low, high, kEven);
  const Lanes odd = __builtin_shuffle(low, high, kEven + 1);
  words = (__builtin_convertvector(even, IntLanes) & 0xFFFF) |
          (__builtin_convertvector(odd, IntLanes) << 16);
}

// x = eˣ, to 2 in the last place, for x ≤ 88; 0 below -87. By 2ⁿ·e^r with |r| ≤ ln 2 / 2, Cephes'
// polynomial.
SPILLWAY_INLINE void exponential(Lanes& x) {
  const Lanes floor = Lanes{} - 87.0f;
  const IntLanes vanishes = x < floor;
  x = vanishes ? floor : x;
  const Lanes turns = x * 1.44269504f;
  const Lanes n = rounded(turns);
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntLanes power = (__builtin_convertvector(n, IntLanes) + 127) << 23;
  Lanes scale;
  std::memcpy(&scale, &power, sizeof scale);
  x = vanishes ? Lanes{} : p * scale;
}

}  // namespace spillway::local::ops
