// Forms of attention to latent rows that spillway_latent_attention leaves to kernels of their own.
#pragma once

#include "backends/local/kernels/latent_kernels.h"

namespace spillway::kernels {

// Host only. Status of CUDA.

// Chunks of tokens. Requires: row_start, splits 1.
int enqueue_latent_chunks(const LatentAttention& args, Stream stream);

// A token of each of many sequences. Requires: no row_start, splits 1.
int enqueue_latent_decodes(const LatentAttention& args, Stream stream);

}  // namespace spillway::kernels
