// Attention over latent rows (MLA) of one pass: the cache holds one line a token, queries are
// turned into its terms, and what is mixed of latent rows becomes values afterwards.
//
// The thread of its GPU only. Owns the queries and what is mixed; enqueues and returns.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "backends/local/cuda/step_rows.h"
#include "backends/local/cuda/step_state.h"
#include "backends/local/kernels/latent_kernels.h"

#include <memory>

namespace spillway::local::cuda {

class LatentLayer {
 public:
  // For steps of the state's size.
  static Result<std::unique_ptr<LatentLayer>> create(const DecoderShape& shape,
                                                     const StepState& state, CUstream_st* stream);

  struct Call {
    void* mixed = nullptr;             // [rows, query_width] what attention yields
    const void* projection = nullptr;  // [rows, qkv_width]
    void* pages = nullptr;             // Lines of this layer.
    const float* angles = nullptr;
    bool few = false;  // Of rows: at most kernels::kSkinnyTokensMax.
  };

  // Appends the rows' lines and attends to all that their sequences have. Notes failures.
  void attend(const LayerWeights& layer, const Call& call, const StepRows& rows,
              FirstError& errors);

 private:
  LatentLayer(const DecoderShape& shape, const StepState& state, CUstream_st* stream)
      : shape_(shape), state_(state), stream_(stream) {}
  void append(const LayerWeights& layer, const Call& call, int rows, FirstError& errors);
  kernels::LatentAttention attention_of(const Call& call) const;
  void attend_chunks(const Call& call, const StepRows& rows, FirstError& errors);
  void attend_decodes(const Call& call, const StepRows& rows, FirstError& errors);
  float score_scale() const;

  const DecoderShape shape_;
  const StepState& state_;
  CUstream_st* const stream_;
  DeviceMemory queries_;  // [rows, heads, line] in terms of the lines
  DeviceMemory latent_;   // [rows, heads, latent width] what is mixed
};

}  // namespace spillway::local::cuda
