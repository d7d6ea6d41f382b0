// The inner loop of every linear layer: a block of 16 rows of weights by a tile of activations.
//
// Pure functions on plain memory, any thread. One implementation an instruction set, all with the
// same result up to the order of additions; the portable one is what the others are tested against.
#pragma once

#include "backends/local/ops/cpu/packed_matrix.h"
#include "backends/local/ops/cpu/quantized_rows.h"

namespace spillway::local::ops {

// out[r · 16 + i] = Σ_k x[r][k] · w[16 · block + i][k] for the x.rows_of(tile) rows of the tile.
using TileKernel = void (*)(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
                            float* out);

void tile_portable(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
                   float* out);
void tile_avx2(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile, float* out);
void tile_avx512_vnni(const PackedMatrix& matrix, int block, const QuantizedRows& x, int tile,
                      float* out);

// The fastest that this processor runs.
TileKernel choose_tile_kernel();

}  // namespace spillway::local::ops
