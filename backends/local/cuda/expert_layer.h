// A feed forward layer of experts in one pass: which of them each token takes, what those answer,
// and the sum.
//
// The thread of its GPU only. Owns the choice and the answers; enqueues and returns. The caller
// makes what the router says.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "backends/local/cuda/step_state.h"
#include "backends/local/kernels/expert_kernels.h"

#include <memory>

namespace spillway::local::cuda {

class ExpertLayer {
 public:
  // For steps of the state's size, and experts of that format.
  static Result<std::unique_ptr<ExpertLayer>> create(const DecoderShape& shape,
                                                     kernels::WeightFormat format,
                                                     const StepState& state, CUstream_st* stream);

  struct Call {
    const void* hidden = nullptr;  // [rows, width] the residual stream
    const void* normed = nullptr;  // [rows, width]; null: few rows, hidden is normed on the way in
    int rows = 0;
    void* out = nullptr;  // [rows, width] where the sum of the answers goes…
    kernels::SkinnyEpilogue epilogue = kernels::kAddBf16;  // …and how.
  };

  float* logits() const { return logits_.get<float>(); }  // [rows, experts] for the router.

  // Notes failures. Requires: logits.
  void answer(const LayerWeights& layer, const Call& call, FirstError& errors);

 private:
  ExpertLayer(const DecoderShape& shape, const StepState& state, CUstream_st* stream)
      : shape_(shape), state_(state), stream_(stream) {}
  int slots() const { return shape_.experts.chosen + shape_.experts.shared; }
  int all() const { return shape_.experts.count + shape_.experts.shared; }
  void route(const LayerWeights& layer, int rows, FirstError& errors);
  void take(kernels::GroupedLinear& product, const Matrix& weight, const void* x, int rows,
            bool few, FirstError& errors);

  const DecoderShape shape_;
  const StepState& state_;
  CUstream_st* const stream_;
  DeviceMemory logits_;
  DeviceMemory weights_;     // [rows, slots]
  DeviceMemory lists_;       // [all experts, rows]
  DeviceMemory counts_;      // [all experts], zeros between layers
  DeviceMemory gated_;       // [rows · slots, width of an expert]
  DeviceMemory answers_;     // [rows · slots, width]
  DeviceMemory quantized_;   // Rows of either product's x in E4M3, if weights are, and…
  DeviceMemory row_scales_;  // …their scales.
};

}  // namespace spillway::local::cuda
