// Runs batch steps on one GPU, or on several that compute each layer together: the Executor of the
// engine over the CUDA kernels.
//
// See Executor for threads and lifetimes; every GPU but the first has a thread of its own, and
// the first is what the calling thread speaks to afterwards. A step
// of decodes alone is one captured graph; any other is enqueued kernel by kernel. Next tokens are
// drawn and scored on the device if every row allows it (no penalties, no biases, no min_p), and
// the next step can be enqueued at once; else logits come back.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "backends/local/engine/executor.h"

#include <memory>
#include <vector>

namespace spillway::local::cuda {

struct CudaExecutorOptions {
  int kv_blocks = 0;
  int sequences_max = 8;      // In a step.
  int step_tokens_max = 512;  // In a step, decodes included.
  int skinny_rows_max = 8;    // See DecoderOptions, and for the next two.
  int packed_rows_max = 512;
  int parted_numbers_min = 360'000;
  bool graphs = true;
  int first_device = 0;                   // Rank r is on this GPU + r.
  Precision precision = Precision::bf16;  // Of the layers' matrices; fp32 is none.
  bool kv_e4m3 = false;                   // Keys and values in 8 bits.
};

// Of a step: one a sequence, and those of prompts that are scored.
inline constexpr int kScoredRowsMax = 128;
inline int logit_rows_max(const CudaExecutorOptions& options) {
  return options.sequences_max + kScoredRowsMax;
}

// The weights of each rank's share, in its GPU's memory: rank r is on the rth of a group.
using RankWeights = std::vector<std::unique_ptr<DecoderWeights>>;

// Takes memory, tunes the products and captures the graphs. `weights` are of one rank for each GPU,
// in bf16, or have layers in four bits that are left so. backend_unavailable: no usable GPU, or too
// little memory. invalid_request: so many ranks cannot share the model.
Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     RankWeights weights);

// On one GPU alone.
Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     std::unique_ptr<DecoderWeights> weights);

}  // namespace spillway::local::cuda
