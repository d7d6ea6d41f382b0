// The two parts of a decoder's layer: each adds to the residual stream what it makes of it.
//
// Engine thread only. They own their weights; activations of a step lie in a Workspace that all
// layers share.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/ops/ops.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace spillway::local {

// Memory for the activations of a step, kept from step to step.
class Workspace {
 public:
  enum class Use { projected, mixed, gated, added, last_ };

  // [rows, width], of any content, until it is asked for the same use again.
  at::Tensor rows(Use use, std::int64_t rows, std::int64_t width, at::ScalarType type);

 private:
  std::array<at::Tensor, static_cast<std::size_t>(Use::last_)> kept_;
};

class LayerPart {
 public:
  virtual ~LayerPart() = default;
  virtual void add_to(at::Tensor& residual, const ops::StepTensors& step, Workspace& room) = 0;
};

// What a part is made of.
struct LayerSource {
  const loader::ModelFile& file;
  const ArchSpec& spec;
  ops::Ops& ops;
  int index = 0;
  int kv_blocks = 0;
  at::Tensor cos_sin;  // [positions, pairs, 2], of this layer.

  std::string name(const std::string& tensor) const {
    return "blk." + std::to_string(index) + "." + tensor;
  }
};

using LoadedPart = Result<std::unique_ptr<LayerPart>>;

// Errors name the tensor.
LoadedPart load_heads_attention(const LayerSource& source);
LoadedPart load_latent_attention(const LayerSource& source);
LoadedPart load_dense_feed_forward(const LayerSource& source);
LoadedPart load_expert_feed_forward(const LayerSource& source);

// rows / sqrt(mean(rows²) + epsilon) · weight over the last dimension, in fp32.
at::Tensor normed(const at::Tensor& rows, const ops::Norm& norm);

// Adds x · matrixᵀ to the residual stream, normed first if the layer has a norm for that.
void add_product(ops::Ops& ops, const at::Tensor& x, const ops::Matrix& matrix,
                 const ops::Norm& post_norm, at::Tensor& residual, Workspace& room);

}  // namespace spillway::local
