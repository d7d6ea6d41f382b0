#include "backends/local/engine/executor.h"
#include "backends/local/model/latent_forms_internal.h"
#include "backends/local/model/layer_internal.h"
#include "backends/local/model/shelf_internal.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

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

// DeepSeek's attention: latent rows are all that the cache keeps.
class LatentRowsAttention final : public LayerPart {
 public:
  static LoadedPart load(const LayerSource& source) {
    std::unique_ptr<LatentRowsAttention> part(new LatentRowsAttention(source));
    const auto loaded = part->load_weights(source);
    if (!loaded) return loaded.error();
    return std::unique_ptr<LayerPart>(std::move(part));
  }

  void add_to(at::Tensor& residual, const ops::StepTensors& step, Workspace& room) override {
    const auto angles = cos_sin_.index_select(0, step.positions);
    append(residual, step, angles);
    auto mixed = room.rows(Workspace::Use::mixed, step.ids.size(0), heads_ * shape_.value_width,
                           ops_.activation_type());
    attend(queries_of(residual, angles), step, mixed);
    ops_.linear_add(mixed, *out_, residual);
  }

 private:
  explicit LatentRowsAttention(const LayerSource& source)
      : ops_(source.ops),
        shape_(source.spec.latent),
        heads_(source.spec.query_heads),
        scale_(shape_.score_gain / std::sqrt(shape_.key_width + shape_.rope_width)),
        cos_sin_(source.cos_sin),
        lines_(at::empty({source.kv_blocks, kBlockTokens, shape_.line_width()},
                         ops_.activation_type())) {
    forms_.shape = shape_;
  }

  Result<void> load_weights(const LayerSource& source) {
    const ArchSpec& spec = source.spec;
    const std::int64_t query_width = std::int64_t{heads_} * (shape_.key_width + shape_.rope_width);
    Shelf shelf(source.file);
    norm_ = shelf.norm(source.name("attn_norm.weight"), spec.width, spec.norm_epsilon);
    latent_norm_ =
        shelf.norm(source.name("attn_kv_a_norm.weight"), shape_.width, spec.norm_epsilon);
    const auto lines =
        shelf.matrix(source.name("attn_kv_a_mqa.weight"), shape_.line_width(), spec.width);
    forms_.key_up = shelf.values(source.name("attn_k_b.weight"),
                                 std::int64_t{heads_} * shape_.width, shape_.key_width);
    forms_.value_up = shelf.values(source.name("attn_v_b.weight"),
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
    forms_.key_up = forms_.key_up.view({heads_, shape_.width, shape_.key_width});
    forms_.value_up = forms_.value_up.view({heads_, shape_.value_width, shape_.width});
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

  // [T, heads, key_width + rope_width], scaled.
  at::Tensor queries_of(const at::Tensor& residual, const at::Tensor& angles) {
    const auto flat =
        to_rank_ ? projected(projected(residual, norm_, *to_rank_), query_norm_, *to_queries_)
                 : projected(residual, norm_, *to_queries_);
    const auto heads = flat.view({flat.size(0), heads_, -1});
    const auto turned = heads.narrow(2, shape_.key_width, shape_.rope_width);
    return at::cat({heads.narrow(2, 0, shape_.key_width), rotated(turned, angles)}, 2).mul_(scale_);
  }

  // One sequence of a step.
  struct Part {
    std::int64_t first_row, rows, context;
    at::Tensor blocks;
  };

  std::vector<Part> parts_of(const ops::StepTensors& step) const {
    const auto* start = step.query_start.data_ptr<std::int32_t>();
    const auto* context = step.context.data_ptr<std::int32_t>();
    std::vector<Part> parts;
    for (std::int64_t b = 0; b < step.context.size(0); ++b) {
      parts.push_back(
          {start[b], start[b + 1] - start[b], context[b], step.block_table.select(0, b)});
    }
    return parts;
  }

  // Each sequence in the form that costs it less.
  void attend(const at::Tensor& queries, const ops::StepTensors& step, at::Tensor& mixed) const {
    std::vector<Part> absorbing;
    for (const Part& part : parts_of(step)) {
      if (forms_.expanding_costs_less(part.rows, part.context)) {
        const auto of_part = queries.narrow(0, part.first_row, part.rows);
        mixed.narrow(0, part.first_row, part.rows)
            .copy_(forms_.attend_expanded(of_part, lines_of(part)));
      } else {
        absorbing.push_back(part);
      }
    }
    if (!absorbing.empty()) attend_absorbed(queries, absorbing, mixed);
  }

  // Sequences of few rows, mostly one, share the products with weights.
  void attend_absorbed(const at::Tensor& queries, const std::vector<Part>& parts,
                       at::Tensor& mixed) const {
    std::vector<at::Tensor> rows, found;
    for (const Part& part : parts) {
      rows.push_back(at::arange(part.first_row, part.first_row + part.rows));
    }
    const auto all_rows = at::cat(rows);
    const auto absorbed = forms_.absorbed(queries.index_select(0, all_rows));
    std::int64_t first = 0;
    for (const Part& part : parts) {
      found.push_back(forms_.attend_absorbed(absorbed.narrow(0, first, part.rows), lines_of(part)));
      first += part.rows;
    }
    const auto values = forms_.values_of(at::cat(found));
    mixed.index_copy_(0, all_rows, values.to(mixed.scalar_type()));
  }

  // A sequence's, from its first.
  at::Tensor lines_of(const Part& part) const {
    const std::int64_t blocks = (part.context + kBlockTokens - 1) / kBlockTokens;
    return lines_.index_select(0, part.blocks.narrow(0, 0, blocks))
        .view({-1, shape_.line_width()})
        .narrow(0, 0, part.context)
        .to(at::kFloat);
  }

  ops::Ops& ops_;
  const LatentAttention shape_;
  const int heads_;
  const double scale_;  // Of scores.
  const at::Tensor cos_sin_;
  at::Tensor lines_;  // [blocks, kBlockTokens, line_width]
  ops::Norm norm_, latent_norm_, query_norm_;
  std::unique_ptr<ops::Matrix> to_lines_, to_rank_, to_queries_, out_;  // to_rank_ may be null.
  LatentForms forms_;
};

}  // namespace

LoadedPart load_latent_attention(const LayerSource& source) {
  return LatentRowsAttention::load(source);
}

}  // namespace spillway::local
