#include "backends/local/ops/aten_ops.h"

#include "backends/local/engine/executor.h"
#include "backends/local/loader/dequantize.h"
#include "backends/local/quantize/round_trip.h"

#include <ATen/ATen.h>

#include <numeric>
#include <stdexcept>

namespace spillway::local::ops {

namespace {

class AtenMatrix final : public Matrix {
 public:
  explicit AtenMatrix(at::Tensor weight) : weight_(std::move(weight)) {}
  std::int64_t rows() const override { return weight_.size(0); }
  std::int64_t columns() const override { return weight_.size(1); }
  const at::Tensor& weight() const { return weight_; }

 private:
  const at::Tensor weight_;
};

const at::Tensor& weight_of(const Matrix& matrix) {
  return static_cast<const AtenMatrix&>(matrix).weight();
}

// Each row through the precision, in place. Requires: contiguous floats.
void round_rows(Precision precision, at::Tensor& values) {
  const auto columns = static_cast<std::size_t>(values.size(-1));
  auto* row = values.data_ptr<float>();
  for (std::int64_t left = values.numel(); left > 0; left -= values.size(-1), row += columns) {
    quantize::round_trip(precision, {row, columns});
  }
}

bool is_of_layer(const loader::Tensor& tensor) { return tensor.name.starts_with("blk."); }

at::Tensor read(const MatrixSource& source, Precision layers) {
  const loader::Tensor& tensor = *source.tensor;
  auto values = at::empty({source.row_count(), tensor.columns()}, at::kFloat);
  const auto count = static_cast<std::size_t>(values.numel());
  const auto done = loader::dequantize(tensor, source.first_row, source.row_count(),
                                       {values.data_ptr<float>(), count});
  if (!done) throw std::runtime_error(done.error().message);
  if (is_of_layer(tensor)) round_rows(layers, values);
  if (source.row_order.empty()) return values;
  return values.index_select(0, at::tensor(source.row_order, at::kLong));
}

// [blocks of the sequence] → [kv_heads, context, D] in fp32.
at::Tensor gather_pages(const at::Tensor& pages, const at::Tensor& blocks, std::int64_t context) {
  const auto chosen = pages.index_select(0, blocks).to(at::kFloat);
  const auto by_head = chosen.permute({1, 0, 2, 3}).reshape({pages.size(1), -1, pages.size(3)});
  return by_head.narrow(1, 0, context);
}

class AtenOps final : public Ops {
 public:
  AtenOps(at::ScalarType type, const Losses& losses) : type_(type), losses_(losses) {}

  at::Device device() const override { return at::kCPU; }
  at::ScalarType activation_type() const override { return type_; }
  at::ScalarType residual_type() const override { return at::kFloat; }

  std::unique_ptr<Matrix> pack(const std::vector<MatrixSource>& sources) override {
    std::vector<at::Tensor> parts;
    for (const MatrixSource& source : sources)
      parts.push_back(read(source, losses_.layers).to(type_));
    return std::make_unique<AtenMatrix>(parts.size() == 1 ? parts[0] : at::cat(parts, 0));
  }

  std::unique_ptr<Matrix> pack_gate_up(const MatrixSource& gate, const MatrixSource& up) override {
    return pack({gate, up});
  }

  // Pages are [blocks, kv_heads, kBlockTokens, D]. Memory that is not touched yet costs nothing.
  KvLayer make_kv_layer(int blocks, const AttentionShape& shape) override {
    const std::vector<std::int64_t> size{blocks, shape.kv_heads, kBlockTokens, shape.head_width};
    return {at::empty(size, type_), at::empty(size, type_)};
  }

  void embed(const Matrix& table, const at::Tensor& ids, at::Tensor& residual) override {
    residual.copy_(weight_of(table).index_select(0, ids));
  }

  void norm_linear(const at::Tensor& residual, const Norm& norm, const Matrix& matrix,
                   at::Tensor& out) override {
    at::mm_out(out, normed(residual, norm), weight_of(matrix).t());
  }

  void norm_gate_up(const at::Tensor& residual, const Norm& norm, const Matrix& matrix, Gate gate,
                    at::Tensor& out) override {
    const auto both = at::mm(normed(residual, norm), weight_of(matrix).t()).to(at::kFloat);
    const auto halves = both.chunk(2, 1);
    auto gated = gate == Gate::silu ? at::silu(halves[0]) : at::gelu(halves[0], "tanh");
    out.copy_(gated.mul_(halves[1]));
  }

  void linear(const at::Tensor& x, const Matrix& matrix, at::Tensor& out) override {
    out.copy_(at::mm(x, weight_of(matrix).t()));
  }

  void linear_add(const at::Tensor& x, const Matrix& matrix, at::Tensor& residual) override {
    residual.add_(at::mm(x, weight_of(matrix).t()));
  }

  void norm_head(const at::Tensor& residual, const StepTensors& step, const Norm& norm,
                 const Matrix& matrix, at::Tensor& logits) override {
    const auto rows = residual.index_select(0, step.logit_rows);
    logits.copy_(at::mm(normed(rows, norm), weight_of(matrix).t()));
  }

  void rope_append(at::Tensor& qkv, const AttentionShape& shape, const at::Tensor& cos_sin,
                   const StepTensors& step, KvLayer& kv) override {
    const auto tokens = qkv.size(0);
    const auto half = shape.head_width / 2;
    const auto angles = cos_sin.index_select(0, step.positions);
    const auto cos = angles.select(2, 0).unsqueeze(1);
    const auto sin = angles.select(2, 1).unsqueeze(1);
    const auto rotated_heads = shape.query_heads + shape.kv_heads;
    const auto heads = qkv.view({tokens, rotated_heads + shape.kv_heads, shape.head_width});
    auto turned = heads.narrow(1, 0, rotated_heads);
    const auto first = turned.narrow(2, 0, half).to(at::kFloat, false, /*copy=*/true);
    const auto second = turned.narrow(2, half, half).to(at::kFloat, false, /*copy=*/true);
    turned.narrow(2, 0, half).copy_(first * cos - second * sin);
    turned.narrow(2, half, half).copy_(second * cos + first * sin);

    const auto block = at::floor_divide(step.slots, kBlockTokens).to(at::kLong);
    const auto offset = at::remainder(step.slots, kBlockTokens).to(at::kLong);
    const auto every = at::indexing::Slice();
    const auto keys = heads.narrow(1, shape.query_heads, shape.kv_heads);
    kv.keys.index_put_({block, every, offset}, kept(keys));
    kv.values.index_put_({block, every, offset},
                         kept(heads.narrow(1, rotated_heads, shape.kv_heads)));
  }

  void attend(const at::Tensor& qkv, const AttentionShape& shape, const StepTensors& step,
              const KvLayer& kv, at::Tensor& out) override {
    const auto* start = step.query_start.data_ptr<std::int32_t>();
    const auto* context = step.context.data_ptr<std::int32_t>();
    for (std::int64_t b = 0; b < step.context.size(0); ++b) {
      const std::int64_t rows = start[b + 1] - start[b];
      const auto queries = qkv.narrow(0, start[b], rows).narrow(1, 0, shape.query_width());
      auto into = out.narrow(0, start[b], rows);
      attend_one(queries, shape, step.block_table.select(0, b), context[b], kv, into);
    }
  }

 private:
  // What the pages give back of these heads.
  at::Tensor kept(const at::Tensor& heads) const {
    if (!losses_.kv_e4m3) return heads;
    auto values = heads.to(at::kFloat, false, /*copy=*/true).contiguous();
    round_rows(Precision::fp8, values);
    return values.to(type_);
  }

  at::Tensor normed(const at::Tensor& residual, const Norm& norm) const {
    const auto mean = residual.pow(2).mean(-1, /*keepdim=*/true);
    return (residual * at::rsqrt(mean + norm.epsilon) * norm.weight).to(type_);
  }

  // One sequence: its last `queries.size(0)` positions over `context` keys.
  static void attend_one(const at::Tensor& queries, const AttentionShape& shape,
                         const at::Tensor& block_row, std::int64_t context, const KvLayer& kv,
                         at::Tensor& into) {
    const auto blocks = block_row.narrow(0, 0, (context + kBlockTokens - 1) / kBlockTokens);
    const auto keys = gather_pages(kv.keys, blocks, context);
    const auto values = gather_pages(kv.values, blocks, context);
    const auto rows = queries.size(0);
    const auto group = shape.query_heads / shape.kv_heads;
    const auto q = queries.to(at::kFloat)
                       .reshape({rows, shape.kv_heads, group, shape.head_width})
                       .permute({1, 2, 0, 3})
                       .reshape({shape.kv_heads, group * rows, shape.head_width});
    auto scores = at::bmm(q, keys.transpose(1, 2)).mul_(shape.scale);
    const auto seen_by = at::arange(context - rows, context).unsqueeze(1);
    const auto keys_at = at::arange(context).unsqueeze(0);
    auto hidden = keys_at.gt(seen_by);
    if (shape.window > 0) hidden.logical_or_(keys_at.le(seen_by - shape.window));
    if (shape.score_cap > 0.0) scores.div_(shape.score_cap).tanh_().mul_(shape.score_cap);
    scores.masked_fill_(hidden.repeat({group, 1}), -std::numeric_limits<float>::infinity());
    const auto mixed = at::bmm(at::softmax(scores, -1), values)
                           .reshape({shape.kv_heads, group, rows, shape.head_width})
                           .permute({2, 0, 1, 3})
                           .reshape({rows, shape.query_width()});
    into.copy_(mixed);
  }

  const at::ScalarType type_;
  const Losses losses_;
};

}  // namespace

std::unique_ptr<Ops> make_aten_ops(at::ScalarType type, const Losses& losses) {
  return std::make_unique<AtenOps>(type, losses);
}

}  // namespace spillway::local::ops
