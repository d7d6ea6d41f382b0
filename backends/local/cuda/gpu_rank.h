// One of the GPUs that run a step together, or the only one: its stream, its decoder with the
// step's state and graphs, and the order in which a step is enqueued there.
//
// One thread, which has chosen the GPU, calls everything; nothing but set-up and `read_logits`
// waits. With several ranks each has its own thread, and all go through the same calls in the same
// order.
#pragma once

#include "backends/local/cuda/cuda_executor.h"
#include "backends/local/cuda/decode_graphs.h"
#include "backends/local/cuda/step_layout.h"
#include "backends/local/kernels/score_kernels.h"

#include <memory>
#include <span>
#include <vector>

namespace spillway::local::cuda {

class GpuRank {
 public:
  // Takes memory and tunes the products. `weights` are the share's.
  static Result<std::unique_ptr<GpuRank>> create(const DecoderShape& shape,
                                                 const CudaExecutorOptions& options,
                                                 std::unique_ptr<DecoderWeights> weights);
  ~GpuRank();

  // Of several ranks: from now on they compute together. Requires: `all` have been created.
  Result<void> join(std::span<const std::unique_ptr<GpuRank>> all);

  // The graphs of decodes; all ranks at once.
  Result<void> capture_graphs();

  StepState& state() { return *state_; }
  const DecodeGraphs& graphs() const { return *graphs_; }

  // Where kernels write what the first rank draws, one a row of logits, and what it scores.
  struct Answers {
    std::int32_t* tokens = nullptr;
    kernels::TokenScore* scores = nullptr;
  };

  // The step as the state says, and, unless the host draws, its tokens: into `answers` on the first
  // rank, and into every rank's state.
  Result<void> enqueue(const StepLayout& layout, const Answers& answers);

  // Of the last step enqueued; the first rank's.
  Result<void> read_logits(std::span<float> out);

  CUstream_st* stream() const { return stream_; }

 private:
  GpuRank(const DecoderShape& shape, const CudaExecutorOptions& options)
      : shape_(shape), options_(options) {}
  Result<void> prepare(std::unique_ptr<DecoderWeights> weights);
  Result<void> prepare_state();
  Result<void> tune_prompts();
  Result<void> rehearse();
  Result<void> rehearse_prompt(int rows);
  Result<void> pass(const StepLayout& layout);
  Result<void> draw(const StepLayout& layout, const Answers& answers);
  Result<void> score(const StepLayout& layout, const Answers& answers);

  const DecoderShape shape_;
  const CudaExecutorOptions options_;
  CUstream_st* stream_ = nullptr;
  std::unique_ptr<StepState> state_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<DecodeGraphs> graphs_;
};

}  // namespace spillway::local::cuda
