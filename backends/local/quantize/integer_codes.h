// Integers in place of weights, and the scales that go with them: the one rule, for the CPU and for
// kernels, which may call what is constexpr.
//
// int8: value ≈ code · scale, a scale for each row. int4: value ≈ (code - kInt4Zero) · scale, a
// scale for each group of kInt4Group weights of a row, the last of which may be shorter.
#pragma once

#include <bit>
#include <cstdint>

namespace spillway::local::quantize {

inline constexpr int kInt4Group = 128;
inline constexpr int kInt4Zero = 8;

// The nearest whole number, even among equals. Requires: |x| < 2^22.
constexpr float rounded(float x) {
  constexpr float kOnes = 12'582'912.0f;  // 1.5 · 2^23: there floats are whole numbers.
  return x + kOnes - kOnes;
}

// The nearest bf16. Requires: finite.
constexpr float rounded_to_bf16(float x) {
  const auto word = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((word + 0x7fffu + (word >> 16 & 1u)) & 0xffff0000u);
}

constexpr int code_between(float value, float scale, int lowest, int highest) {
  if (scale == 0.0f) return 0;
  const int code = static_cast<int>(rounded(value / scale));
  return code < lowest ? lowest : code > highest ? highest : code;
}

// `largest` is the largest magnitude of the row.
constexpr float int8_scale(float largest) { return largest / 127.0f; }

constexpr int int8_code(float value, float scale) { return code_between(value, scale, -127, 127); }

// What is farther from zero, of the group's smallest and largest weight, becomes -8, the end that
// has no counterpart; scales may be negative so. They are kept as bf16.
constexpr float int4_scale(float smallest, float largest) {
  const float extreme = largest >= -smallest ? largest : smallest;
  return rounded_to_bf16(extreme / -8.0f);
}

constexpr int int4_code(float value, float scale) {
  return code_between(value, scale, -8, 7) + kInt4Zero;
}

// Weights that come from a file of four bits lie on a grid, of which a group may lack the ends. The
// scale of a group is then that of its grid: the first of those below on which all its weights lie,
// but for what bf16 rounds. If there is none, it is int4_scale's.
inline constexpr int kInt4Grids = 4;
inline constexpr float kOnInt4Grid = 0.125f;  // Of a step, that a weight may be off at most.

// That whose step is the extreme's eighth, seventh, sixth, fifth part.
constexpr float int4_grid(float smallest, float largest, int grid) {
  const float extreme = largest >= -smallest ? largest : smallest;
  return rounded_to_bf16(extreme / static_cast<float>(grid - 8));
}

// How far a weight is off a grid, in steps.
constexpr float int4_distance(float value, float scale) {
  if (scale == 0.0f) return 0.0f;
  const float off = value / scale - static_cast<float>(int4_code(value, scale) - kInt4Zero);
  return off < 0.0f ? -off : off;
}

}  // namespace spillway::local::quantize
