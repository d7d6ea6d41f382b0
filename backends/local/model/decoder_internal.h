// The decoder: one description (ArchSpec), one set of weights, one pass a step, in calls of ops.h.
//
// Engine thread only. Owns weights, KV pages and the activations of a step, which are kept from
// step to step. Tensors live where its Ops computes.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"
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

 private:
  struct Layer {
    ops::Norm attention_norm;
    std::unique_ptr<ops::Matrix> qkv;
    std::unique_ptr<ops::Matrix> attention_out;
    ops::Norm feed_forward_norm;
    std::unique_ptr<ops::Matrix> gate_up;
    std::unique_ptr<ops::Matrix> down;
    ops::KvLayer kv;
  };

  // Activations for up to a certain number of tokens; a step uses the first rows.
  struct Activations {
    at::Tensor residual;
    at::Tensor qkv;
    at::Tensor mixed;
    at::Tensor gated;
    at::Tensor logits;
  };

  Decoder(ArchSpec spec, std::unique_ptr<ops::Ops> ops);
  Result<void> load_weights(const loader::ModelFile& file);
  Result<Layer> load_layer(const loader::ModelFile& file, const std::string& prefix);
  void make_room(std::int64_t tokens, std::int64_t rows);

  const ArchSpec spec_;
  const std::unique_ptr<ops::Ops> ops_;
  const ops::AttentionShape attention_;
  std::unique_ptr<ops::Matrix> embedding_;
  std::unique_ptr<ops::Matrix> separate_head_;  // Null: the embedding is the head.
  ops::Norm last_norm_;
  std::vector<Layer> layers_;
  at::Tensor cos_sin_;  // [context_max, head_width / 2, 2]
  Activations activations_;
};

}  // namespace spillway::local
