// Runs batch steps on one GPU: the Executor of the engine over the CUDA kernels.
//
// See Executor for threads and lifetimes. A step of decodes alone is one captured graph; any other
// is enqueued kernel by kernel. Next tokens are drawn on the device if every row allows it (no
// penalties, no min_p), and the next step can be enqueued at once; else logits come back.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "backends/local/engine/executor.h"

#include <memory>

namespace spillway::local::cuda {

struct CudaExecutorOptions {
  int kv_blocks = 0;
  int sequences_max = 8;      // In a step.
  int step_tokens_max = 512;  // In a step, decodes included.
  int skinny_rows_max = 8;    // See DecoderOptions.
  bool graphs = true;
  bool e4m3 = false;  // The layers' matrices in 8 bits.
};

// Takes memory, tunes the products and captures the graphs. `weights` are bf16.
// backend_unavailable: no usable GPU, or too little memory.
Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     std::unique_ptr<DecoderWeights> weights);

}  // namespace spillway::local::cuda
