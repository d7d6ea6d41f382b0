#include "backends/local/ops/cpu/tile_kernels.h"

#include <algorithm>
#include <cstring>

namespace spillway::local::ops {

namespace {

float from_half(std::uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, sizeof half);
  return static_cast<float>(half);
}

// The 32 weights of a row in a group, in order.
void unpack(const PackedMatrix& matrix, const std::uint8_t* group, int lane, int* q) {
  const Bits bits = matrix.bits();
  const int width = line_columns(bits);
  for (int column = 0; column < kGroup; column += width) {
    std::uint32_t word;
    std::memcpy(&word, group + column / width * 64 + lane * 4, sizeof word);
    for (int position = 0; position < width; ++position) {
      const std::uint32_t field = word >> (position * (32 / width));
      q[column + column_at(bits, position)] =
          bits == Bits::four ? static_cast<int>(field & 15) : static_cast<std::int8_t>(field & 255);
    }
  }
}

}  // namespace

void tile_portable(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
                   float* out) {
  const bool four = matrix.bits() == Bits::four;
  const int rows = x.rows_of(tile);
  std::fill_n(out, rows * kBlockRows, 0.0f);
  const std::uint8_t* weights = matrix.weights(block);
  const std::uint16_t* halves = matrix.scales(block);
  for (int group = 0; group < matrix.groups(); ++group) {
    const std::int16_t* const values = x.values(tile) + std::ptrdiff_t{group} * kGroup * rows;
    for (int lane = 0; lane < kBlockRows; ++lane) {
      int q[kGroup];
      unpack(matrix, weights, lane, q);
      for (int row = 0; row < rows; ++row) {
        int sum = 0;
        for (int k = 0; k < kGroup; ++k) sum += q[k] * values[(k / 2 * rows + row) * 2 + k % 2];
        float& total = out[row * kBlockRows + lane];
        const float scale = x.scales(tile)[group * rows + row];
        total += from_half(halves[lane]) * (static_cast<float>(sum) * scale);
        const float offset = four ? from_half(halves[kBlockRows + lane]) : 0.0f;
        total += offset * x.sums(tile)[group * rows + row];
      }
    }
    weights += four ? 256 : 512;
    halves += four ? 32 : 16;
  }
}

TileKernel choose_tile_kernel() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return tile_avx512_vnni;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    return tile_avx2;
  }
  return tile_portable;
}

}  // namespace spillway::local::ops
