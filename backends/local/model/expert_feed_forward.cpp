#include "backends/local/model/layer_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace spillway::local {

namespace {

struct Expert {
  std::unique_ptr<ops::Matrix> gate_up, down;
};

struct Choice {
  at::Tensor experts;  // [T, chosen], int64
  at::Tensor weights;  // [T, chosen]
};

// Which experts take a token, of their scores [T, count] and a bias that may be undefined.
class Router {
 public:
  Router(const Experts& experts, at::Tensor bias) : experts_(experts), bias_(std::move(bias)) {}

  Choice choose(const at::Tensor& logits) const {
    const auto scores = experts_.sigmoid ? at::sigmoid(logits) : at::softmax(logits, -1);
    auto ranked = bias_.defined() ? scores + bias_ : scores;
    if (experts_.groups_taken < experts_.groups) ranked = of_best_groups(ranked);
    const auto chosen = std::get<1>(at::topk(ranked, experts_.chosen, -1));
    auto weights = scores.gather(1, chosen);
    if (experts_.normalised) weights = weights / (weights.sum(-1, /*keepdim=*/true) + 1e-20);
    return {chosen, weights * experts_.scale};
  }

 private:
  // A group is as good as its best; where biases choose, as its two best together.
  at::Tensor of_best_groups(const at::Tensor& ranked) const {
    const std::int64_t each = experts_.count / experts_.groups;
    const auto groups = ranked.view({-1, experts_.groups, each});
    const auto best = experts_.sigmoid ? std::get<0>(at::topk(groups, 2, -1)).sum(-1)
                                       : std::get<0>(groups.max(-1));
    const auto taken = std::get<1>(at::topk(best, experts_.groups_taken, -1));
    const auto left_out = at::ones_like(best, at::kBool).scatter_(1, taken, false);
    return groups.masked_fill(left_out.unsqueeze(-1), -std::numeric_limits<float>::infinity())
        .view_as(ranked);
  }

  const Experts experts_;
  const at::Tensor bias_;
};

class ExpertFeedForward final : public LayerPart {
 public:
  static LoadedPart load(const LayerSource& source) {
    const ArchSpec& spec = source.spec;
    const Experts& experts = spec.experts;
    Shelf shelf(source.file);
    const auto norm = shelf.norm(source.name("ffn_norm.weight"), spec.width, spec.norm_epsilon);
    const auto router = shelf.values(source.name("ffn_gate_inp.weight"), experts.count, spec.width);
    at::Tensor bias;
    if (experts.biased) bias = shelf.values(source.name("exp_probs_b.bias"), 1, experts.count);
    if (shelf.problem()) return *shelf.problem();
    std::unique_ptr<ExpertFeedForward> part(
        new ExpertFeedForward(source.ops, norm, router, Router(experts, bias)));
    const auto loaded = part->load_experts(source, shelf);
    if (!loaded) return loaded.error();
    return std::unique_ptr<LayerPart>(std::move(part));
  }

  void add_to(at::Tensor& residual, const ops::StepTensors&, Workspace& room) override {
    const Choice choice = router_.choose(at::mm(normed(residual, norm_), router_weights_.t()));
    auto sum = at::zeros_like(residual);
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      const auto taken = choice.experts.eq(static_cast<std::int64_t>(i)).nonzero();
      if (taken.size(0) == 0) continue;
      const auto rows = taken.select(1, 0);
      const auto weights = choice.weights.index({rows, taken.select(1, 1)}).unsqueeze(1);
      const auto answer = answer_of(experts_[i], residual.index_select(0, rows), room);
      sum.index_add_(0, rows, answer * weights);
    }
    if (shared_.down) sum.add_(answer_of(shared_, residual, room));
    residual.add_(sum);
  }

 private:
  ExpertFeedForward(ops::Ops& ops, ops::Norm norm, at::Tensor router_weights, Router router)
      : ops_(ops),
        norm_(std::move(norm)),
        router_weights_(std::move(router_weights)),
        router_(std::move(router)) {}

  Result<void> load_experts(const LayerSource& source, Shelf& shelf) {
    const Experts& experts = source.spec.experts;
    const int width = source.spec.width;
    for (int i = 0; i < experts.count; ++i) {
      const auto of = [&](const char* name, int rows, int columns) {
        return shelf.of_stack(source.name(name), i, experts.count, rows, columns);
      };
      auto loaded = pack(shelf, of("ffn_gate_exps.weight", experts.width, width),
                         of("ffn_up_exps.weight", experts.width, width),
                         of("ffn_down_exps.weight", width, experts.width));
      if (!loaded) return loaded.error();
      experts_.push_back(std::move(*loaded));
    }
    if (experts.shared == 0) return {};
    const std::int64_t inner =
        std::int64_t{experts.shared} * experts.width;  // One feed forward in the file, too.
    auto shared = pack(shelf, shelf.matrix(source.name("ffn_gate_shexp.weight"), inner, width),
                       shelf.matrix(source.name("ffn_up_shexp.weight"), inner, width),
                       shelf.matrix(source.name("ffn_down_shexp.weight"), width, inner));
    if (!shared) return shared.error();
    shared_ = std::move(*shared);
    return {};
  }

  Result<Expert> pack(const Shelf& shelf, const ops::MatrixSource& gate,
                      const ops::MatrixSource& up, const ops::MatrixSource& down) {
    if (shelf.problem()) return *shelf.problem();
    return Expert{ops_.pack_gate_up(gate, up), ops_.pack({down})};
  }

  at::Tensor answer_of(const Expert& expert, const at::Tensor& residual, Workspace& room) {
    const std::int64_t rows = residual.size(0);
    auto gated =
        room.rows(Workspace::Use::gated, rows, expert.down->columns(), ops_.activation_type());
    auto answer = room.rows(Workspace::Use::added, rows, expert.down->rows(), at::kFloat);
    ops_.norm_gate_up(residual, norm_, *expert.gate_up, ops::Gate::silu, gated);
    ops_.linear(gated, *expert.down, answer);
    return answer;
  }

  ops::Ops& ops_;
  const ops::Norm norm_;
  const at::Tensor router_weights_;
  const Router router_;
  std::vector<Expert> experts_;
  Expert shared_;  // Empty: there are none.
};

}  // namespace

LoadedPart load_expert_feed_forward(const LayerSource& source) {
  return ExpertFeedForward::load(source);
}

}  // namespace spillway::local
