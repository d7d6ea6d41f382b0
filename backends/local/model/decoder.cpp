#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"
#include "backends/local/model/decoder_internal.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace spillway::local {

namespace {

ops::AttentionShape attention_shape(const ArchSpec& spec) {
  return {spec.query_heads, spec.kv_heads, spec.head_width, 1.0 / std::sqrt(spec.head_width)};
}

// cos and sin of position · inverse frequency; angles in double, since they grow large.
at::Tensor rope_table(const ArchSpec& spec) {
  const auto positions = at::arange(spec.context_max, at::kDouble).unsqueeze(1);
  const auto angles = positions * at::tensor(spec.inverse_frequencies, at::kDouble).unsqueeze(0);
  return at::stack({angles.cos(), angles.sin()}, 2).to(at::kFloat).contiguous();
}

// Finds tensors of the shapes that the spec asks for, and remembers the first problem.
class Shelf {
 public:
  explicit Shelf(const loader::ModelFile& file) : file_(file) {}

  ops::MatrixSource matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                           std::vector<std::int64_t> row_order = {}) {
    return {find(name, rows, columns), std::move(row_order)};
  }

  ops::Norm norm(const std::string& name, std::int64_t width, double epsilon) {
    const loader::Tensor* tensor = find(name, 1, width);
    if (tensor == nullptr) return {};
    auto weight = at::empty({width}, at::kFloat);
    const auto count = static_cast<std::size_t>(width);
    const auto done = loader::dequantize(*tensor, {weight.data_ptr<float>(), count});
    if (!done) keep(done.error());
    return {weight, epsilon};
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  const loader::Tensor* find(const std::string& name, std::int64_t rows, std::int64_t columns) {
    const auto found = model_tensor(file_, name, rows, columns);
    if (found) return *found;
    keep(found.error());
    return nullptr;
  }

  void keep(Error error) {
    if (!problem_) problem_ = std::move(error);
  }

  const loader::ModelFile& file_;
  std::optional<Error> problem_;
};

}  // namespace

Decoder::Decoder(ArchSpec spec, std::unique_ptr<ops::Ops> ops)
    : spec_(std::move(spec)), ops_(std::move(ops)), attention_(attention_shape(spec_)) {}

Result<std::unique_ptr<Decoder>> Decoder::load(const loader::ModelFile& file, ArchSpec spec,
                                               std::unique_ptr<ops::Ops> ops, int kv_blocks) {
  std::unique_ptr<Decoder> decoder(new Decoder(std::move(spec), std::move(ops)));
  const auto loaded = decoder->load_weights(file);
  if (!loaded) return loaded.error();
  for (Layer& layer : decoder->layers_) {
    layer.kv = decoder->ops_->make_kv_layer(kv_blocks, decoder->attention_);
  }
  decoder->cos_sin_ = rope_table(decoder->spec_).to(decoder->ops_->device());
  return decoder;
}

Result<void> Decoder::load_weights(const loader::ModelFile& file) {
  Shelf shelf(file);
  const auto embedding = shelf.matrix("token_embd.weight", spec_.vocabulary, spec_.width);
  last_norm_ = shelf.norm("output_norm.weight", spec_.width, spec_.norm_epsilon);
  if (shelf.problem()) return *shelf.problem();
  embedding_ = ops_->pack({embedding});
  if (!spec_.head_is_embedding) {
    const auto head = shelf.matrix("output.weight", spec_.vocabulary, spec_.width);
    if (shelf.problem()) return *shelf.problem();
    separate_head_ = ops_->pack({head});
  }
  for (int i = 0; i < spec_.layers; ++i) {
    auto layer = load_layer(file, "blk." + std::to_string(i) + ".");
    if (!layer) return layer.error();
    layers_.push_back(std::move(*layer));
  }
  return {};
}

Result<Decoder::Layer> Decoder::load_layer(const loader::ModelFile& file,
                                           const std::string& prefix) {
  const auto order = [&](int heads) {
    return spec_.interleaved_rope_rows ? halves_from_pairs(heads, spec_.head_width)
                                       : std::vector<std::int64_t>();
  };
  const int width = spec_.width;
  const int inner = spec_.feed_forward_width;
  Shelf shelf(file);
  Layer layer;
  layer.attention_norm = shelf.norm(prefix + "attn_norm.weight", width, spec_.norm_epsilon);
  layer.feed_forward_norm = shelf.norm(prefix + "ffn_norm.weight", width, spec_.norm_epsilon);
  const std::vector<ops::MatrixSource> qkv{
      shelf.matrix(prefix + "attn_q.weight", attention_.query_width(), width,
                   order(spec_.query_heads)),
      shelf.matrix(prefix + "attn_k.weight", attention_.kv_width(), width, order(spec_.kv_heads)),
      shelf.matrix(prefix + "attn_v.weight", attention_.kv_width(), width)};
  const std::vector<ops::MatrixSource> out{
      shelf.matrix(prefix + "attn_output.weight", width, attention_.query_width())};
  const auto gate = shelf.matrix(prefix + "ffn_gate.weight", inner, width);
  const auto up = shelf.matrix(prefix + "ffn_up.weight", inner, width);
  const std::vector<ops::MatrixSource> down{shelf.matrix(prefix + "ffn_down.weight", width, inner)};
  if (shelf.problem()) return *shelf.problem();
  layer.qkv = ops_->pack(qkv);
  layer.attention_out = ops_->pack(out);
  layer.gate_up = ops_->pack_gate_up(gate, up);
  layer.down = ops_->pack(down);
  return layer;
}

at::Tensor Decoder::forward(const ops::StepTensors& step) {
  const std::int64_t tokens = step.ids.size(0);
  const std::int64_t rows = step.logit_rows.size(0);
  make_room(tokens, rows);
  auto residual = activations_.residual.narrow(0, 0, tokens);
  auto qkv = activations_.qkv.narrow(0, 0, tokens);
  auto mixed = activations_.mixed.narrow(0, 0, tokens);
  auto gated = activations_.gated.narrow(0, 0, tokens);
  auto logits = activations_.logits.narrow(0, 0, rows);

  ops_->embed(*embedding_, step.ids, residual);
  for (Layer& layer : layers_) {
    ops_->norm_linear(residual, layer.attention_norm, *layer.qkv, qkv);
    ops_->rope_append(qkv, attention_, cos_sin_, step, layer.kv);
    ops_->attend(qkv, attention_, step, layer.kv, mixed);
    ops_->linear_add(mixed, *layer.attention_out, residual);
    ops_->norm_gate_up(residual, layer.feed_forward_norm, *layer.gate_up, gated);
    ops_->linear_add(gated, *layer.down, residual);
  }
  if (rows == 0) return logits;
  const ops::Matrix& head = separate_head_ ? *separate_head_ : *embedding_;
  ops_->norm_head(residual, step, last_norm_, head, logits);
  return logits;
}

void Decoder::make_room(std::int64_t tokens, std::int64_t rows) {
  const auto activation = at::dtype(ops_->activation_type()).device(ops_->device());
  const auto residual = at::dtype(ops_->residual_type()).device(ops_->device());
  if (!activations_.residual.defined() || activations_.residual.size(0) < tokens) {
    activations_.residual = at::empty({tokens, spec_.width}, residual);
    activations_.qkv = at::empty({tokens, attention_.qkv_width()}, activation);
    activations_.mixed = at::empty({tokens, attention_.query_width()}, activation);
    activations_.gated = at::empty({tokens, spec_.feed_forward_width}, activation);
  }
  if (!activations_.logits.defined() || activations_.logits.size(0) < rows) {
    activations_.logits =
        at::empty({rows, spec_.vocabulary}, at::dtype(at::kFloat).device(ops_->device()));
  }
}

}  // namespace spillway::local
