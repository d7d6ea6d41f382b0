#include "backends/local/ops/cpu/epilogues.h"

#include "backends/local/ops/cpu/lanes.h"
#include "backends/local/ops/cpu/packed_matrix.h"
#include "backends/local/ops/cpu/vector_clones.h"

namespace spillway::local::ops {

void store_tile(const float* tile, int rows, int columns, float* out, std::int64_t stride) {
  for (int row = 0; row < rows; ++row, tile += kBlockRows, out += stride) {
    std::memcpy(out, tile, static_cast<std::size_t>(columns) * sizeof(float));
  }
}

void add_tile(const float* tile, int rows, int columns, float* out, std::int64_t stride) {
  for (int row = 0; row < rows; ++row, tile += kBlockRows, out += stride) {
    for (int i = 0; i < columns; ++i) out[i] += tile[i];
  }
}

namespace {

// x / (1 + e^-slope). Past 88 the exponential overflows; there the quotient is 0 either way.
SPILLWAY_INLINE void gated(const Lanes& x, const Lanes& slope, const float* up, float* out) {
  const Lanes most = Lanes{} + 88.0f;
  Lanes factor;
  load(factor, up);
  Lanes decay = -slope;
  decay = decay > most ? most : decay;
  exponential(decay);
  store(out, x / (decay + 1.0f) * factor);
}

}  // namespace

SPILLWAY_VECTOR_CLONES
void silu_mul_tile(const float* gate, const float* up, int rows, float* out, std::int64_t stride) {
  for (int row = 0; row < rows; ++row, gate += kLanes, up += kLanes, out += stride) {
    Lanes x;
    load(x, gate);
    gated(x, x, up, out);
  }
}

// (1 + tanh(u)) / 2 = 1 / (1 + e^-2u)
SPILLWAY_VECTOR_CLONES
void gelu_mul_tile(const float* gate, const float* up, int rows, float* out, std::int64_t stride) {
  constexpr float kSlope = 1.5957691216f;  // 2 · √(2/π)
  for (int row = 0; row < rows; ++row, gate += kLanes, up += kLanes, out += stride) {
    Lanes x;
    load(x, gate);
    const Lanes slope = x * (x * x * 0.044715f + 1.0f) * kSlope;
    gated(x, slope, up, out);
  }
}

}  // namespace spillway::local::ops
