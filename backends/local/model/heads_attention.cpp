#include "backends/local/model/layer_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

namespace spillway::local {

namespace {

ops::AttentionShape shape_of(const ArchSpec& spec, int layer) {
  ops::AttentionShape shape{spec.query_heads, spec.kv_heads, spec.head_width,
                            1.0 / std::sqrt(spec.score_width)};
  if (spec.windows.holds(layer)) shape.window = spec.windows.width;
  shape.score_cap = spec.gemma.score_cap;
  return shape;
}

// Attention of heads that have keys and values of their own.
class HeadsAttention final : public LayerPart {
 public:
  static LoadedPart load(const LayerSource& source) {
    std::unique_ptr<HeadsAttention> part(new HeadsAttention(source));
    const auto loaded = part->load_weights(source);
    if (!loaded) return loaded.error();
    return std::unique_ptr<LayerPart>(std::move(part));
  }

  void add_to(at::Tensor& residual, const ops::StepTensors& step, Workspace& room) override {
    const std::int64_t tokens = step.ids.size(0);
    const auto type = ops_.activation_type();
    auto qkv = room.rows(Workspace::Use::projected, tokens, shape_.qkv_width(), type);
    auto mixed = room.rows(Workspace::Use::mixed, tokens, shape_.query_width(), type);
    ops_.norm_linear(residual, norm_, *qkv_, qkv);
    if (bias_.defined()) qkv.add_(bias_);
    if (query_norm_.weight.defined()) norm_heads(qkv);
    ops_.rope_append(qkv, shape_, cos_sin_, step, kv_);
    ops_.attend(qkv, shape_, step, kv_, mixed);
    add_product(ops_, mixed, *out_, post_norm_, residual, room);
    if (out_bias_.defined()) residual.add_(out_bias_);
  }

 private:
  explicit HeadsAttention(const LayerSource& source)
      : ops_(source.ops),
        shape_(shape_of(source.spec, source.index)),
        cos_sin_(source.cos_sin),
        kv_(ops_.make_kv_layer(source.kv_blocks, shape_)) {}

  Result<void> load_weights(const LayerSource& source) {
    const ArchSpec& spec = source.spec;
    const auto order = [&](int heads) {
      return spec.interleaved_rope_rows ? halves_from_pairs(heads, spec.head_width)
                                        : std::vector<std::int64_t>();
    };
    Shelf shelf(source.file);
    norm_ = shelf.norm(source.name("attn_norm.weight"), spec.width, spec.norm_epsilon);
    const std::vector<ops::MatrixSource> qkv{
        shelf.matrix(source.name("attn_q.weight"), shape_.query_width(), spec.width,
                     order(spec.query_heads)),
        shelf.matrix(source.name("attn_k.weight"), shape_.kv_width(), spec.width,
                     order(spec.kv_heads)),
        shelf.matrix(source.name("attn_v.weight"), shape_.kv_width(), spec.width)};
    const auto out =
        shelf.matrix(source.name("attn_output.weight"), spec.width, shape_.query_width());
    if (spec.qkv_bias) load_bias(source, shelf, order(spec.query_heads), order(spec.kv_heads));
    if (spec.attention_out_bias)
      out_bias_ = shelf.values(source.name("attn_output.bias"), 1, spec.width);
    if (spec.head_norms) {
      query_norm_ =
          shelf.norm(source.name("attn_q_norm.weight"), spec.head_width, spec.norm_epsilon);
      key_norm_ = shelf.norm(source.name("attn_k_norm.weight"), spec.head_width, spec.norm_epsilon);
    }
    if (spec.gemma.used) {
      post_norm_ =
          shelf.norm(source.name("post_attention_norm.weight"), spec.width, spec.norm_epsilon);
    }
    if (shelf.problem()) return *shelf.problem();
    qkv_ = ops_.pack(qkv);
    out_ = ops_.pack({out});
    return {};
  }

  void load_bias(const LayerSource& source, Shelf& shelf, const std::vector<std::int64_t>& queries,
                 const std::vector<std::int64_t>& keys) {
    const auto part = [&](const char* name, int width, const std::vector<std::int64_t>& order) {
      auto values = shelf.values(source.name(name), 1, width);
      if (!values.defined() || order.empty()) return values;
      return values.index_select(1, at::tensor(order, at::kLong));
    };
    const std::vector<at::Tensor> parts{part("attn_q.bias", shape_.query_width(), queries),
                                        part("attn_k.bias", shape_.kv_width(), keys),
                                        part("attn_v.bias", shape_.kv_width(), {})};
    if (!shelf.problem()) bias_ = at::cat(parts, 1).to(ops_.activation_type());
  }

  void norm_heads(at::Tensor& qkv) const {
    const auto heads = qkv.view({qkv.size(0), -1, shape_.head_width});
    auto queries = heads.narrow(1, 0, shape_.query_heads);
    auto keys = heads.narrow(1, shape_.query_heads, shape_.kv_heads);
    queries.copy_(normed(queries, query_norm_));
    keys.copy_(normed(keys, key_norm_));
  }

  ops::Ops& ops_;
  const ops::AttentionShape shape_;
  const at::Tensor cos_sin_;
  ops::KvLayer kv_;
  ops::Norm norm_, query_norm_, key_norm_,
      post_norm_;  // But for the first, where the model has it.
  std::unique_ptr<ops::Matrix> qkv_, out_;
  at::Tensor bias_, out_bias_;
};

}  // namespace

LoadedPart load_heads_attention(const LayerSource& source) { return HeadsAttention::load(source); }

}  // namespace spillway::local
