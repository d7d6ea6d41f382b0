#include "backends/local/loader/dequantize.h"

#include <bit>
#include <cassert>
#include <cstring>
#include <string>

namespace spillway::loader {
namespace {

using Bytes = const std::uint8_t*;

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1F;
  const std::uint32_t mantissa = half & 0x3FF;
  if (exponent == 0) {  // Zero or subnormal: mantissa * 2^-24 is exact in a float.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

float half_at(Bytes at) {
  std::uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return half_to_float(half);
}

void f32_block(Bytes in, float* out) { std::memcpy(out, in, sizeof(float)); }

void f16_block(Bytes in, float* out) { *out = half_at(in); }

void bf16_block(Bytes in, float* out) {
  std::uint16_t upper;
  std::memcpy(&upper, in, sizeof upper);
  *out = std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
}

// half d; 16 bytes: value i in the low nibble of byte i, value i + 16 in the high one. x = d * (q -
// 8)
void q4_0_block(Bytes in, float* out) {
  const float d = half_at(in);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((in[2 + i] & 0xF) - 8);
    out[i + 16] = d * static_cast<float>((in[2 + i] >> 4) - 8);
  }
}

// half d, half m; nibbles as in Q4_0. x = d * q + m
void q4_1_block(Bytes in, float* out) {
  const float d = half_at(in);
  const float m = half_at(in + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(in[4 + i] & 0xF) + m;
    out[i + 16] = d * static_cast<float>(in[4 + i] >> 4) + m;
  }
}

// The fifth bits of 32 values, one bit each.
std::uint32_t high_bits(Bytes at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

// half d, 32 high bits, nibbles. x = d * (q - 16)
void q5_0_block(Bytes in, float* out) {
  const float d = half_at(in);
  const std::uint32_t high = high_bits(in + 2);
  for (int i = 0; i < 16; ++i) {
    const int low_value = (in[6 + i] & 0xF) | static_cast<int>((high >> i & 1) << 4);
    const int high_value = (in[6 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(low_value - 16);
    out[i + 16] = d * static_cast<float>(high_value - 16);
  }
}

// half d, half m, 32 high bits, nibbles. x = d * q + m
void q5_1_block(Bytes in, float* out) {
  const float d = half_at(in);
  const float m = half_at(in + 2);
  const std::uint32_t high = high_bits(in + 4);
  for (int i = 0; i < 16; ++i) {
    const int low_value = (in[8 + i] & 0xF) | static_cast<int>((high >> i & 1) << 4);
    const int high_value = (in[8 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(low_value) + m;
    out[i + 16] = d * static_cast<float>(high_value) + m;
  }
}

// half d, 32 signed bytes. x = d * q
void q8_0_block(Bytes in, float* out) {
  const float d = half_at(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<std::int8_t>(in[2 + i])) * d;
}

struct ScaleAndMin {
  int scale;
  int min;
};

// Eight 6-bit scales and eight 6-bit mins in 12 bytes: the first four of each are whole in bytes
// 0-3 and 4-7; the last four have their low nibbles in bytes 8-11 and their two high bits at the
// top of bytes 0-7.
ScaleAndMin k_scale(Bytes packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 0xF) | (packed[j - 4] >> 6 << 4),
          (packed[j + 4] >> 4) | (packed[j] >> 6 << 4)};
}

// half d, half dmin, 12 bytes of scales, 128 bytes of nibbles: 8 groups of 32. x = d * scale * q -
// dmin * min
void q4_k_block(Bytes in, float* out) {
  const float d = half_at(in);
  const float dmin = half_at(in + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMin group = k_scale(in + 4, j);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    const Bytes q = in + 16 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[32 * j + i] = scale * static_cast<float>(q[i] >> shift & 0xF) - min;
  }
}

// As Q4_K, with 32 bytes of fifth bits (bit j of byte i belongs to value i of group j) before the
// nibbles.
void q5_k_block(Bytes in, float* out) {
  const float d = half_at(in);
  const float dmin = half_at(in + 2);
  const Bytes high = in + 16;
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMin group = k_scale(in + 4, j);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    const Bytes q = in + 48 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int value = (q[i] >> shift & 0xF) | ((high[i] >> j & 1) << 4);
      out[32 * j + i] = scale * static_cast<float>(value) - min;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of two high bits, 16 signed scales, half d: 16 groups of 16. x
// = d * scale * (q - 32)
void q6_k_block(Bytes in, float* out) {
  const float d = half_at(in + 208);
  for (int j = 0; j < 8;
       ++j) {  // 32 values at a time; four such quarters share 64 low and 32 high bytes.
    const int half = j / 4;
    const int quarter = j % 4;
    const Bytes low = in + 64 * half + quarter % 2 * 32;
    const Bytes high = in + 128 + 32 * half;
    for (int i = 0; i < 32; ++i) {
      const auto scale = static_cast<std::int8_t>(in[192 + 2 * j + i / 16]);
      const int value = (low[i] >> (quarter / 2 * 4) & 0xF) | ((high[i] >> (2 * quarter) & 3) << 4);
      out[32 * j + i] = d * static_cast<float>(scale) * static_cast<float>(value - 32);
    }
  }
}

using BlockFunction = void (*)(Bytes, float*);

BlockFunction function_of(TensorType type) {
  switch (type) {
    case TensorType::f32: return f32_block;
    case TensorType::f16: return f16_block;
    case TensorType::bf16: return bf16_block;
    case TensorType::q4_0: return q4_0_block;
    case TensorType::q4_1: return q4_1_block;
    case TensorType::q5_0: return q5_0_block;
    case TensorType::q5_1: return q5_1_block;
    case TensorType::q8_0: return q8_0_block;
    case TensorType::q4_k: return q4_k_block;
    case TensorType::q5_k: return q5_k_block;
    case TensorType::q6_k: return q6_k_block;
    default: return nullptr;
  }
}

}  // namespace

bool can_dequantize(TensorType type) { return function_of(type) != nullptr; }

Result<void> dequantize(const Tensor& tensor, std::int64_t first_row, std::int64_t rows,
                        std::span<float> out) {
  assert(first_row >= 0 && rows >= 0 && first_row + rows <= tensor.rows());
  assert(out.size() == static_cast<std::size_t>(rows * tensor.columns()));
  const BlockLayout layout = layout_of(tensor.type);
  const BlockFunction function = function_of(tensor.type);
  if (!function) {
    return Error{Errc::internal, "tensor \"" + tensor.name + "\": " + std::string(layout.name) +
                                     " values cannot be turned into floats"};
  }
  float* to = out.data();
  for (std::int64_t row = first_row; row < first_row + rows;) {
    const auto run = tensor.run(row, first_row + rows - row);
    const auto* in = reinterpret_cast<Bytes>(run.data());
    const auto blocks = std::ssize(run) / layout.bytes;
    for (std::ptrdiff_t b = 0; b < blocks; ++b, to += layout.elements)
      function(in + b * layout.bytes, to);
    row += std::ssize(run) / tensor.row_bytes();
  }
  return {};
}

Result<void> dequantize(const Tensor& tensor, std::span<float> out) {
  return dequantize(tensor, 0, tensor.rows(), out);
}

}  // namespace spillway::loader
