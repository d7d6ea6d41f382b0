#include "backends/local/engine/executor.h"
#include "backends/local/model/layer_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <utility>

namespace spillway::local {

namespace {

// Rotates neighbouring pairs (2i, 2i + 1) of the last dimension of [T, heads, width].
at::Tensor rotated(const at::Tensor& heads, const at::Tensor& angles) {
  const auto pairs = heads.reshape({heads.size(0), heads.size(1), -1, 2});
  const auto cos = angles.select(2, 0).unsqueeze(1);
  const auto sin = angles.select(2, 1).unsqueeze(1);
  const auto first = pairs.select(3, 0);
  const auto second = pairs.select(3, 1);
  return at::stack({first * cos - second * sin, second * cos + first * sin}, 3).view_as(heads);
}

// DeepSeek's attention, absorbed: queries are turned into the space of the latent rows, which are
// all that the cache keeps.
class AbsorbedAttention final : public LayerPart {
 public:
  static LoadedPart load(const LayerSource& source) {
    std::unique_ptr<AbsorbedAttention> part(new AbsorbedAttention(source));
    const auto loaded = part->load_weights(source);
    if (!loaded) return loaded.error();
    return std::unique_ptr<LayerPart>(std::move(part));
  }

  void add_to(at::Tensor& residual, const ops::StepTensors& step, Workspace& room) override {
    const auto angles = cos_sin_.index_select(0, step.positions);
    append(residual, step, angles);
    const auto queries = absorbed_queries(residual, angles);
    auto mixed = room.rows(Workspace::Use::mixed, step.ids.size(0), heads_ * shape_.value_width,
                           ops_.activation_type());
    const auto* start = step.query_start.data_ptr<std::int32_t>();
    const auto* context = step.context.data_ptr<std::int32_t>();
    for (std::int64_t b = 0; b < step.context.size(0); ++b) {
      const std::int64_t rows = start[b + 1] - start[b];
      auto into = mixed.narrow(0, start[b], rows);
      attend(queries.narrow(0, start[b], rows), step.block_table.select(0, b), context[b], into);
    }
    ops_.linear_add(mixed, *out_, residual);
  }

 private:
  explicit AbsorbedAttention(const LayerSource& source)
      : ops_(source.ops),
        shape_(source.spec.latent),
        heads_(source.spec.query_heads),
        scale_(shape_.score_gain / std::sqrt(shape_.key_width + shape_.rope_width)),
        cos_sin_(source.cos_sin),
        lines_(at::empty({source.kv_blocks, kBlockTokens, shape_.line_width()},
                         ops_.activation_type())) {}

  Result<void> load_weights(const LayerSource& source) {
    const ArchSpec& spec = source.spec;
    const std::int64_t query_width = std::int64_t{heads_} * (shape_.key_width + shape_.rope_width);
    Shelf shelf(source.file);
    norm_ = shelf.norm(source.name("attn_norm.weight"), spec.width, spec.norm_epsilon);
    latent_norm_ =
        shelf.norm(source.name("attn_kv_a_norm.weight"), shape_.width, spec.norm_epsilon);
    const auto lines =
        shelf.matrix(source.name("attn_kv_a_mqa.weight"), shape_.line_width(), spec.width);
    key_up_ = shelf.values(source.name("attn_k_b.weight"), std::int64_t{heads_} * shape_.width,
                           shape_.key_width);
    value_up_ = shelf.values(source.name("attn_v_b.weight"),
                             std::int64_t{heads_} * shape_.value_width, shape_.width);
    const auto out = shelf.matrix(source.name("attn_output.weight"), spec.width,
                                  std::int64_t{heads_} * shape_.value_width);
    const bool has_rank = shape_.query_width > 0;
    ops::MatrixSource rank;
    if (has_rank) {
      rank = shelf.matrix(source.name("attn_q_a.weight"), shape_.query_width, spec.width);
      query_norm_ =
          shelf.norm(source.name("attn_q_a_norm.weight"), shape_.query_width, spec.norm_epsilon);
    }
    const auto query = shelf.matrix(source.name(has_rank ? "attn_q_b.weight" : "attn_q.weight"),
                                    query_width, has_rank ? shape_.query_width : spec.width);
    if (shelf.problem()) return *shelf.problem();
    key_up_ = key_up_.view({heads_, shape_.width, shape_.key_width});
    value_up_ = value_up_.view({heads_, shape_.value_width, shape_.width});
    to_lines_ = ops_.pack({lines});
    if (has_rank) to_rank_ = ops_.pack({rank});
    to_queries_ = ops_.pack({query});
    out_ = ops_.pack({out});
    return {};
  }

  at::Tensor projected(const at::Tensor& rows, const ops::Norm& norm, const ops::Matrix& matrix) {
    auto out = at::empty({rows.size(0), matrix.rows()}, ops_.activation_type());
    ops_.norm_linear(rows, norm, matrix, out);
    return out.to(at::kFloat);
  }

  // What the cache keeps of each token: its latent row, normed, and the rotated part of its key.
  void append(const at::Tensor& residual, const ops::StepTensors& step, const at::Tensor& angles) {
    const auto line = projected(residual, norm_, *to_lines_);
    const auto latent = normed(line.narrow(1, 0, shape_.width), latent_norm_);
    const auto key = line.narrow(1, shape_.width, shape_.rope_width).unsqueeze(1);
    const auto whole = at::cat({latent, rotated(key, angles).squeeze(1)}, 1);
    lines_.view({-1, shape_.line_width()})
        .index_copy_(0, step.slots.to(at::kLong), whole.to(lines_.scalar_type()));
  }

  // [T, heads, line_width]: their products with lines are scores.
  at::Tensor absorbed_queries(const at::Tensor& residual, const at::Tensor& angles) {
    const auto flat =
        to_rank_ ? projected(projected(residual, norm_, *to_rank_), query_norm_, *to_queries_)
                 : projected(residual, norm_, *to_queries_);
    const auto heads = flat.view({flat.size(0), heads_, -1});
    const auto plain = heads.narrow(2, 0, shape_.key_width);
    const auto turned = heads.narrow(2, shape_.key_width, shape_.rope_width);
    const auto latent = at::bmm(plain.transpose(0, 1), key_up_.transpose(1, 2)).transpose(0, 1);
    return at::cat({latent, rotated(turned, angles)}, 2);
  }

  // One sequence: its last `queries.size(0)` positions over `context` lines.
  void attend(const at::Tensor& queries, const at::Tensor& block_row, std::int64_t context,
              at::Tensor& into) const {
    const auto blocks = block_row.narrow(0, 0, (context + kBlockTokens - 1) / kBlockTokens);
    const auto lines = lines_.index_select(0, blocks)
                           .view({-1, shape_.line_width()})
                           .narrow(0, 0, context)
                           .to(at::kFloat);
    const auto rows = queries.size(0);
    auto scores = at::matmul(queries, lines.t()).mul_(scale_);  // [rows, heads, context]
    const auto seen_by = at::arange(context - rows, context).view({rows, 1, 1});
    const auto hidden = at::arange(context).view({1, 1, context}).gt(seen_by);
    scores.masked_fill_(hidden, -std::numeric_limits<float>::infinity());
    const auto latent = at::matmul(at::softmax(scores, -1), lines.narrow(1, 0, shape_.width));
    const auto values = at::bmm(latent.transpose(0, 1), value_up_.transpose(1, 2));
    into.copy_(values.transpose(0, 1).reshape({rows, -1}));
  }

  ops::Ops& ops_;
  const LatentAttention shape_;
  const int heads_;
  const double scale_;
  const at::Tensor cos_sin_;
  at::Tensor lines_;  // [blocks, kBlockTokens, line_width]
  ops::Norm norm_, latent_norm_, query_norm_;
  std::unique_ptr<ops::Matrix> to_lines_, to_rank_, to_queries_, out_;  // to_rank_ may be null.
  at::Tensor key_up_;                                                   // [heads, width, key_width]
  at::Tensor value_up_;  // [heads, value_width, width]
};

}  // namespace

LoadedPart load_latent_attention(const LayerSource& source) {
  return AbsorbedAttention::load(source);
}

}  // namespace spillway::local
