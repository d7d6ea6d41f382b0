// Attention of chunks, which spillway_latent_attention leaves to a kernel of its own.
#pragma once

#include "backends/local/kernels/latent_kernels.h"

namespace spillway::kernels {

// Host only. Status of CUDA. Requires: row_start, splits 1.
int enqueue_latent_chunks(const LatentAttention& args, Stream stream);

}  // namespace spillway::kernels
