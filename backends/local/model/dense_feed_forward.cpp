#include "backends/local/model/layer_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <utility>

namespace spillway::local {

namespace {

class DenseFeedForward final : public LayerPart {
 public:
  static LoadedPart load(const LayerSource& source) {
    const ArchSpec& spec = source.spec;
    const int inner = spec.feed_forward_width;
    Shelf shelf(source.file);
    std::unique_ptr<DenseFeedForward> part(new DenseFeedForward(source));
    part->norm_ = shelf.norm(source.name("ffn_norm.weight"), spec.width, spec.norm_epsilon);
    const auto gate = shelf.matrix(source.name("ffn_gate.weight"), inner, spec.width);
    const auto up = shelf.matrix(source.name("ffn_up.weight"), inner, spec.width);
    const auto down = shelf.matrix(source.name("ffn_down.weight"), spec.width, inner);
    if (spec.gemma.used) {
      part->post_norm_ =
          shelf.norm(source.name("post_ffw_norm.weight"), spec.width, spec.norm_epsilon);
    }
    if (shelf.problem()) return *shelf.problem();
    part->gate_up_ = source.ops.pack_gate_up(gate, up);
    part->down_ = source.ops.pack({down});
    return std::unique_ptr<LayerPart>(std::move(part));
  }

  void add_to(at::Tensor& residual, const ops::StepTensors&, Workspace& room) override {
    auto gated = room.rows(Workspace::Use::gated, residual.size(0), down_->columns(),
                           ops_.activation_type());
    ops_.norm_gate_up(residual, norm_, *gate_up_, gate_, gated);
    add_product(ops_, gated, *down_, post_norm_, residual, room);
  }

 private:
  explicit DenseFeedForward(const LayerSource& source)
      : ops_(source.ops), gate_(source.spec.gemma.used ? ops::Gate::gelu : ops::Gate::silu) {}

  ops::Ops& ops_;
  const ops::Gate gate_;
  ops::Norm norm_, post_norm_;  // The second where the model has it.
  std::unique_ptr<ops::Matrix> gate_up_, down_;
};

}  // namespace

LoadedPart load_dense_feed_forward(const LayerSource& source) {
  return DenseFeedForward::load(source);
}

}  // namespace spillway::local
