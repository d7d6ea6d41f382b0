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

SPILLWAY_VECTOR_CLONES
void silu_mul_tile(const float* gate, const float* up, int rows, float* out, std::int64_t stride) {
  for (int row = 0; row < rows; ++row, gate += kLanes, up += kLanes, out += stride) {
    Lanes x;
    Lanes factor;
    load(x, gate);
    load(factor, up);
    // Past 88 the exponential overflows; there the quotient is 0 either way.
    const Lanes most = Lanes{} + 88.0f;
    Lanes decay = -x;
    decay = decay > most ? most : decay;
    exponential(decay);
    store(out, x / (decay + 1.0f) * factor);
  }
}

}  // namespace spillway::local::ops
