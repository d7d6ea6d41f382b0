// What becomes of a tile of products (tile_kernels.h): stored, added, or gated.
//
// Pure functions, any thread. `tile` holds rows of 16 products; `out` rows stand `stride` floats
// apart.
#pragma once

#include <cstdint>

namespace spillway::local::ops {

// out[r][i] = tile[r][i] for i < columns ≤ 16.
void store_tile(const float* tile, int rows, int columns, float* out, std::int64_t stride);

// out[r][i] += tile[r][i]
void add_tile(const float* tile, int rows, int columns, float* out, std::int64_t stride);

// out[r][i] = silu(gate[r][i]) · up[r][i] for all 16, where silu(x) = x / (1 + e⁻ˣ)
void silu_mul_tile(const float* gate, const float* up, int rows, float* out, std::int64_t stride);

// The same with gelu(x) = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
void gelu_mul_tile(const float* gate, const float* up, int rows, float* out, std::int64_t stride);

}  // namespace spillway::local::ops
