// How the copy engine finds weights of many groups: tiles of rows, which for silu(gate) · up hold 8
// rows of gate and the same 8 of up in turn, so that who multiplies has both.
#pragma once

#include "backends/local/kernels/expert_kernels.h"

#include <cuda.h>

namespace spillway::kernels {

// Of tiles with so many rows and 64 columns; what lies beyond the weights is zeros. Host only.
// Status of CUDA.
int make_weight_map(CUtensorMap& map, const GroupedLinear& args, int tile_rows);

}  // namespace spillway::kernels
