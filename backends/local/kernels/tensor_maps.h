// How the copy engine finds rows of matrices in memory: as tiles of 64 columns, permuted as
// warpgroup.cuh says.
#pragma once

#include "backends/local/kernels/expert_kernels.h"

#include <cuda.h>

namespace spillway::kernels {

// Weights of groups: tiles of so many rows, which for silu(gate) · up hold 8 rows of gate and the
// same 8 of up in turn, so that who multiplies has both. Of integers 64 bytes of a row, permuted as
// packed_fragments.cuh says. What lies beyond the weights is zeros. Host only. Status of CUDA.
int make_weight_map(CUtensorMap& map, const GroupedLinear& args, int tile_rows);

// Lines of latent rows: tiles of a page's lines. As make_weight_map.
int make_line_map(CUtensorMap& map, const void* pages);

// Rows of bf16: tiles of so many rows. What lies beyond them is zeros. As make_weight_map.
int make_row_map(CUtensorMap& map, const void* data, int rows, int columns, int tile_rows);

// Rows of packed weights: tiles of so many rows of 64 bytes, permuted as packed_fragments.cuh says.
int make_packed_map(CUtensorMap& map, const void* data, int rows, int row_bytes, int tile_rows);

}  // namespace spillway::kernels
