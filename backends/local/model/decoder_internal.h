// The decoder: one description (ArchSpec), one set of weights, one pass a step, in calls of ops.h.
//
// Engine thread only. Owns weights, KV pages and the activations of a step, which are kept from
// step to step. Tensors live where its Ops computes.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/model/layer_internal.h"
#include "backends/local/ops/ops.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

namespace spillway::local {

class Decoder {
 public:
  // Packs the file's weights and takes memory for `kv_blocks` blocks. Errors name the tensor.
  static Result<std::unique_ptr<Decoder>> load(const loader::ModelFile& file, ArchSpec spec,
                                               std::unique_ptr<ops::Ops> ops, int kv_blocks);

  const ArchSpec& spec() const { return spec_; }

  // Runs the step and returns logits [R, vocabulary] (fp32), valid until the next call.
  at::Tensor forward(const ops::StepTensors& step);

  // Runs the step and returns what the head would be given of all its tokens, [T, width] (fp32).
  at::Tensor hidden(const ops::StepTensors& step);

 private:
  struct Layer {
    std::unique_ptr<LayerPart> attention;
    std::unique_ptr<LayerPart> feed_forward;
  };

  Decoder(ArchSpec spec, std::unique_ptr<ops::Ops> ops);
  Result<void> load_ends(const loader::ModelFile& file);
  Result<void> load_layers(const loader::ModelFile& file, int kv_blocks);
  at::Tensor through_layers(const ops::StepTensors& step);
  void make_room(std::int64_t tokens, std::int64_t rows);

  const ArchSpec spec_;
  const std::unique_ptr<ops::Ops> ops_;
  std::unique_ptr<ops::Matrix> embedding_;
  std::unique_ptr<ops::Matrix> separate_head_;  // Null: the embedding is the head.
  ops::Norm last_norm_;
  std::vector<Layer> layers_;
  Workspace room_;
  at::Tensor residual_;  // For up to a certain number of tokens; a step uses the first rows.
  at::Tensor logits_;
};

}  // namespace spillway::local
