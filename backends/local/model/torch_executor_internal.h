// Runs a Decoder as an Executor: slices of tokens become the tensors of a step.
//
// See Executor for threads. Exceptions of the library end here, as errors.
#pragma once

#include "backends/local/engine/executor.h"
#include "backends/local/model/decoder_internal.h"

#include <memory>
#include <vector>

namespace spillway::local {

class TorchExecutor final : public Executor {
 public:
  // `threads` is what the library may use for a step.
  TorchExecutor(std::unique_ptr<Decoder> decoder, int kv_blocks, int threads);

  ExecutorShape shape() const override;
  Result<StepResult> run(std::span<const Slice> slices) override;

 private:
  void lay_out(std::span<const Slice> slices);

  const std::unique_ptr<Decoder> decoder_;
  const int kv_blocks_;
  const int threads_;
  bool threads_set_ = false;

  // The step on the host; kept for their memory.
  struct {
    std::vector<std::int32_t> ids, positions, slots, query_start, context, block_table, logit_rows;
    int table_width = 0;
    int query_max = 0;
    int context_max = 0;
  } host_;
  at::Tensor logits_;
};

}  // namespace spillway::local
