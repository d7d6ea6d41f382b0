#include "backends/local/engine/executor.h"
#include "backends/local/model/decoder_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>

namespace spillway::local {

namespace {

// cos and sin of position · inverse frequency; angles in double, since they grow large.
at::Tensor rope_table(const std::vector<double>& frequencies, std::int64_t positions, double gain) {
  const auto at = at::arange(positions, at::kDouble).unsqueeze(1);
  const auto angles = at * at::tensor(frequencies, at::kDouble).unsqueeze(0);
  return at::stack({angles.cos(), angles.sin()}, 2).mul_(gain).to(at::kFloat).contiguous();
}

}  // namespace

Decoder::Decoder(ArchSpec spec, std::unique_ptr<ops::Ops> ops)
    : spec_(std::move(spec)), ops_(std::move(ops)) {}

Result<std::unique_ptr<Decoder>> Decoder::load(const loader::ModelFile& file, ArchSpec spec,
                                               std::unique_ptr<ops::Ops> ops, int kv_blocks) {
  std::unique_ptr<Decoder> decoder(new Decoder(std::move(spec), std::move(ops)));
  if (const auto loaded = decoder->load_ends(file); !loaded) return loaded.error();
  if (const auto loaded = decoder->load_layers(file, kv_blocks); !loaded) return loaded.error();
  return decoder;
}

Result<void> Decoder::load_ends(const loader::ModelFile& file) {
  Shelf shelf(file);
  const auto embedding = shelf.matrix("token_embd.weight", spec_.vocabulary, spec_.width);
  last_norm_ = shelf.norm("output_norm.weight", spec_.width, spec_.norm_epsilon);
  if (shelf.problem()) return *shelf.problem();
  embedding_ = ops_->pack({embedding});
  if (spec_.head_is_embedding) return {};
  const auto head = shelf.matrix("output.weight", spec_.vocabulary, spec_.width);
  if (shelf.problem()) return *shelf.problem();
  separate_head_ = ops_->pack({head});
  return {};
}

Result<void> Decoder::load_layers(const loader::ModelFile& file, int kv_blocks) {
  // No position is past what the cache holds.
  const auto positions =
      std::min<std::int64_t>(spec_.context_max, std::int64_t{kv_blocks} * kBlockTokens);
  const auto table = [&](const std::vector<double>& frequencies, double gain) {
    return rope_table(frequencies, positions, gain).to(ops_->device());
  };
  const auto usual = table(spec_.inverse_frequencies, spec_.rope_gain);
  const auto& own = spec_.windows.inverse_frequencies;
  const auto windowed = own.empty() ? usual : table(own, 1.0);
  for (int i = 0; i < spec_.layers; ++i) {
    const auto& cos_sin = spec_.windows.holds(i) ? windowed : usual;
    const LayerSource source{file, spec_, *ops_, i, kv_blocks, cos_sin};
    const bool has_experts = spec_.experts.used() && i >= spec_.experts.dense_layers;
    auto attention =
        spec_.latent.used() ? load_latent_attention(source) : load_heads_attention(source);
    if (!attention) return attention.error();
    auto feed_forward =
        has_experts ? load_expert_feed_forward(source) : load_dense_feed_forward(source);
    if (!feed_forward) return feed_forward.error();
    layers_.push_back({std::move(*attention), std::move(*feed_forward)});
  }
  return {};
}

at::Tensor Decoder::forward(const ops::StepTensors& step) {
  const std::int64_t rows = step.logit_rows.size(0);
  make_room(step.ids.size(0), rows);
  const auto residual = through_layers(step);
  auto logits = logits_.narrow(0, 0, rows);
  if (rows == 0) return logits;
  const ops::Matrix& head = separate_head_ ? *separate_head_ : *embedding_;
  ops_->norm_head(residual, step, last_norm_, head, logits);
  const double cap = spec_.gemma.logit_cap;
  if (cap > 0.0) logits.div_(cap).tanh_().mul_(cap);
  return logits;
}

at::Tensor Decoder::hidden(const ops::StepTensors& step) {
  make_room(step.ids.size(0), 0);
  const auto residual = through_layers(step).to(at::kFloat);
  const auto mean = residual.pow(2).mean(-1, /*keepdim=*/true);
  return residual * at::rsqrt(mean + last_norm_.epsilon) * last_norm_.weight;
}

// The residual stream behind the last layer.
at::Tensor Decoder::through_layers(const ops::StepTensors& step) {
  auto residual = residual_.narrow(0, 0, step.ids.size(0));
  ops_->embed(*embedding_, step.ids, residual);
  if (spec_.gemma.used) residual.mul_(spec_.gemma.embedding_gain);
  for (const Layer& layer : layers_) {
    layer.attention->add_to(residual, step, room_);
    layer.feed_forward->add_to(residual, step, room_);
  }
  return residual;
}

void Decoder::make_room(std::int64_t tokens, std::int64_t rows) {
  const auto residual = at::dtype(ops_->residual_type()).device(ops_->device());
  if (!residual_.defined() || residual_.size(0) < tokens) {
    residual_ = at::empty({tokens, spec_.width}, residual);
  }
  if (!logits_.defined() || logits_.size(0) < rows) {
    logits_ = at::empty({rows, spec_.vocabulary}, at::dtype(at::kFloat).device(ops_->device()));
  }
}

}  // namespace spillway::local
