#include "backends/local/ops/packed_ops.h"

#include "backends/local/engine/executor.h"
#include "backends/local/ops/cpu/epilogues.h"
#include "backends/local/ops/cpu/packed_matrix.h"
#include "backends/local/ops/cpu/paged_attention.h"
#include "backends/local/ops/cpu/quantized_rows.h"
#include "backends/local/ops/cpu/team.h"
#include "backends/local/ops/cpu/tile_kernels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <utility>

namespace spillway::local::ops {

static_assert(kPageTokens == kBlockTokens);

namespace {

// Shares of a product: enough that threads end together, also if one lost its processor for a
// while. Of many rows, more of them, since each is long.
constexpr int kSharesPerThread = 8;
constexpr int kTilesOfLongShares = 4;
constexpr int kNormShare = 8;  // Rows; below that a hand-over costs more than the work.

class CpuMatrix final : public Matrix {
 public:
  explicit CpuMatrix(const std::vector<RowSource>& rows) : packed_(rows) {}
  std::int64_t rows() const override { return packed_.rows(); }
  std::int64_t columns() const override { return packed_.columns(); }
  const PackedMatrix& packed() const { return packed_; }

 private:
  const PackedMatrix packed_;
};

const PackedMatrix& packed(const Matrix& matrix) {
  return static_cast<const CpuMatrix&>(matrix).packed();
}

std::vector<RowSource> rows_of(const std::vector<MatrixSource>& sources) {
  std::vector<RowSource> rows;
  for (const MatrixSource& source : sources) {
    for (std::int64_t i = 0; i < source.row_count(); ++i)
      rows.push_back({source.tensor, source.row(i)});
  }
  return rows;
}

// Blocks of gate and up in turn, so that both halves of a product are made by one thread.
std::vector<RowSource> interleaved(const std::vector<RowSource>& rows) {
  const std::size_t half = rows.size() / 2;
  if (half % kBlockRows != 0) throw std::runtime_error("feed-forward width is no multiple of 16");
  std::vector<RowSource> mixed;
  for (std::size_t block = 0; block < half; block += kBlockRows) {
    for (const std::size_t from : {block, half + block}) {
      const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(from);
      mixed.insert(mixed.end(), begin, begin + kBlockRows);
    }
  }
  return mixed;
}

class PackedOps final : public Ops {
 public:
  explicit PackedOps(int threads) : team_(threads) {}

  at::Device device() const override { return at::kCPU; }
  at::ScalarType activation_type() const override { return at::kFloat; }
  at::ScalarType residual_type() const override { return at::kFloat; }

  std::unique_ptr<Matrix> pack(const std::vector<MatrixSource>& sources) override {
    return std::make_unique<CpuMatrix>(rows_of(sources));
  }

  std::unique_ptr<Matrix> pack_gate_up(const MatrixSource& gate, const MatrixSource& up) override {
    return std::make_unique<CpuMatrix>(interleaved(rows_of({gate, up})));
  }

  KvLayer make_kv_layer(int blocks, const AttentionShape& shape) override {
    if (shape.head_width % 32 != 0 || shape.head_width > kHeadWidthMax) {
      throw std::runtime_error("head width is no multiple of 32");
    }
    const auto bytes = static_cast<std::int64_t>(page_bytes(shape.head_width));
    // Memory that is not touched yet: pages cost nothing until they are used.
    const auto pages = [&] { return at::empty({blocks, shape.kv_heads, bytes}, at::kByte); };
    return {pages(), pages()};
  }

  void embed(const Matrix& table, const at::Tensor& ids, at::Tensor& residual) override {
    const auto* id = ids.data_ptr<std::int32_t>();
    float* const out = residual.data_ptr<float>();
    const auto width = residual.size(1);
    for (std::int64_t i = 0; i < ids.size(0); ++i) packed(table).read_row(id[i], out + i * width);
  }

  void norm_linear(const at::Tensor& residual, const Norm& norm, const Matrix& matrix,
                   at::Tensor& out) override {
    quantize_normed(residual, nullptr, residual.size(0), norm);
    multiply_into(packed(matrix), out);
  }

  void norm_gate_up(const at::Tensor& residual, const Norm& norm, const Matrix& matrix, Gate gate,
                    at::Tensor& out) override {
    quantize_normed(residual, nullptr, residual.size(0), norm);
    float* const to = out.data_ptr<float>();
    const auto width = out.size(1);
    const auto gate_tile = gate == Gate::silu ? silu_mul_tile : gelu_mul_tile;
    multiply<2>(packed(matrix), [&](int block, int first, int rows, const float* tiles) {
      float* const at = to + first * width + block / 2 * kBlockRows;
      gate_tile(tiles, tiles + kTileRows * kBlockRows, rows, at, width);
    });
  }

  void linear(const at::Tensor& x, const Matrix& matrix, at::Tensor& out) override {
    quantize(x);
    multiply_into(packed(matrix), out);
  }

  void linear_add(const at::Tensor& x, const Matrix& matrix, at::Tensor& residual) override {
    quantize(x);
    float* const to = residual.data_ptr<float>();
    const auto width = residual.size(1);
    multiply<1>(packed(matrix), [&](int block, int first, int rows, const float* tile) {
      const int filled = std::min(kBlockRows, static_cast<int>(width) - block * kBlockRows);
      add_tile(tile, rows, filled, to + first * width + block * kBlockRows, width);
    });
  }

  void norm_head(const at::Tensor& residual, const StepTensors& step, const Norm& norm,
                 const Matrix& matrix, at::Tensor& logits) override {
    const auto* rows = step.logit_rows.data_ptr<std::int32_t>();
    quantize_normed(residual, rows, step.logit_rows.size(0), norm);
    multiply_into(packed(matrix), logits);
  }

  void rope_append(at::Tensor& qkv, const AttentionShape& shape, const at::Tensor& cos_sin,
                   const StepTensors& step, KvLayer& kv) override {
    const Pages pages = pages_of(kv, shape);
    float* const rows = qkv.data_ptr<float>();
    const float* const angles = cos_sin.data_ptr<float>();
    const auto* positions = step.positions.data_ptr<std::int32_t>();
    const auto* slots = step.slots.data_ptr<std::int32_t>();
    const std::ptrdiff_t width = shape.head_width;
    team_.deal(static_cast<int>(qkv.size(0)), kNormShare, [&](int begin, int end) {
      for (int row = begin; row < end; ++row) {
        float* const query = rows + row * std::ptrdiff_t{shape.qkv_width()};
        float* const key = query + shape.query_width();
        const float* const value = key + shape.kv_width();
        const float* const angle = angles + positions[row] * width;
        for (int head = 0; head < shape.query_heads + shape.kv_heads; ++head) {
          rotate(query + head * width, shape.head_width, angle);
        }
        for (int head = 0; head < shape.kv_heads; ++head) {
          append(pages, slots[row], head, key + head * width, value + head * width);
        }
      }
    });
  }

  void attend(const at::Tensor& qkv, const AttentionShape& shape, const StepTensors& step,
              const KvLayer& kv, at::Tensor& out) override {
    plan_attention(step, shape);
    const Pages pages = pages_of(kv, shape);
    const float* const rows = qkv.data_ptr<float>();
    float* const to = out.data_ptr<float>();
    team_.deal(static_cast<int>(attention_.size()), 1, [&](int begin, int end) {
      for (int i = begin; i < end; ++i) {
        attend_some(attention_[static_cast<std::size_t>(i)], shape, pages, rows, to);
      }
    });
  }

 private:
  // A few rows of one sequence and one kv head: what one thread does at a time.
  struct AttentionShare {
    const std::int32_t* table = nullptr;
    int head = 0;
    int first_row = 0;
    int rows = 0;
    int first_position = 0;
  };

  static Pages pages_of(const KvLayer& kv, const AttentionShape& shape) {
    return {reinterpret_cast<std::byte*>(kv.keys.data_ptr<std::uint8_t>()),
            reinterpret_cast<std::byte*>(kv.values.data_ptr<std::uint8_t>()), shape.kv_heads,
            shape.head_width};
  }

  void quantize(const at::Tensor& x) {
    const float* const from = x.data_ptr<float>();
    const auto columns = x.size(1);
    activations_.resize(static_cast<int>(x.size(0)), static_cast<int>(columns));
    team_.deal(activations_.rows(), kNormShare, [&](int begin, int end) {
      for (int row = begin; row < end; ++row) activations_.put(row, from + row * columns);
    });
  }

  void quantize_normed(const at::Tensor& residual, const std::int32_t* chosen, std::int64_t count,
                       const Norm& norm) {
    const float* const from = residual.data_ptr<float>();
    const float* const weight = norm.weight.data_ptr<float>();
    const auto width = residual.size(1);
    activations_.resize(static_cast<int>(count), static_cast<int>(width));
    team_.deal(activations_.rows(), kNormShare, [&](int begin, int end) {
      for (int row = begin; row < end; ++row) {
        const std::int64_t source = chosen == nullptr ? row : chosen[row];
        activations_.put_normed(row, from + source * width, weight,
                                static_cast<float>(norm.epsilon));
      }
    });
  }

  void multiply_into(const PackedMatrix& matrix, at::Tensor& out) {
    float* const to = out.data_ptr<float>();
    const auto width = out.size(1);
    multiply<1>(matrix, [&](int block, int first, int rows, const float* tile) {
      const int filled = std::min(kBlockRows, static_cast<int>(width) - block * kBlockRows);
      store_tile(tile, rows, filled, to + first * width + block * kBlockRows, width);
    });
  }

  // activations_ · matrixᵀ, tile by tile: finish(block, first row, rows, tiles) gets kTogether
  // neighbouring blocks at once.
  template <int kTogether, class Finish>
  void multiply(const PackedMatrix& matrix, const Finish& finish) {
    const int bundles = matrix.blocks() / kTogether;
    const int shares =
        team_.threads() * kSharesPerThread * std::min(activations_.tiles(), kTilesOfLongShares);
    const int share = std::max(1, bundles / shares);
    team_.deal(bundles, share, [&](int begin, int end) {
      alignas(64) float products[kTogether * kTileRows * kBlockRows];
      for (int tile = 0; tile < activations_.tiles(); ++tile) {
        const int first = tile * activations_.tile_rows();
        for (int bundle = begin; bundle < end; ++bundle) {
          for (int i = 0; i < kTogether; ++i) {
            kernel_(matrix, bundle * kTogether + i, activations_, tile,
                    products + i * kTileRows * kBlockRows);
          }
          finish(bundle * kTogether, first, activations_.rows_of(tile), products);
        }
      }
    });
  }

  void plan_attention(const StepTensors& step, const AttentionShape& shape) {
    const auto* start = step.query_start.data_ptr<std::int32_t>();
    const auto* context = step.context.data_ptr<std::int32_t>();
    const auto* table = step.block_table.data_ptr<std::int32_t>();
    const int group = shape.query_heads / shape.kv_heads;
    const int rows_at_once = std::max(1, 2 * kQueriesAtOnce / group);
    attention_.clear();
    for (std::int64_t b = 0; b < step.context.size(0); ++b) {
      const int first_position = context[b] - (start[b + 1] - start[b]);
      for (int row = start[b]; row < start[b + 1]; row += rows_at_once) {
        const int rows = std::min(rows_at_once, start[b + 1] - row);
        for (int head = 0; head < shape.kv_heads; ++head) {
          attention_.push_back({table + b * step.block_table.size(1), head, row, rows,
                                first_position + row - start[b]});
        }
      }
    }
  }

  void attend_some(const AttentionShare& share, const AttentionShape& shape, const Pages& pages,
                   const float* qkv, float* out) const {
    thread_local std::vector<float> scores;
    thread_local std::vector<const float*> queries;
    thread_local std::vector<float*> outputs;
    thread_local std::vector<int> positions;
    queries.clear();
    outputs.clear();
    positions.clear();
    const int group = shape.query_heads / shape.kv_heads;
    for (int i = 0; i < share.rows; ++i) {
      const std::ptrdiff_t row = share.first_row + i;
      for (int query = 0; query < group; ++query) {
        const std::ptrdiff_t head = std::ptrdiff_t{share.head} * group + query;
        queries.push_back(qkv + row * shape.qkv_width() + head * shape.head_width);
        outputs.push_back(out + row * shape.query_width() + head * shape.head_width);
        positions.push_back(share.first_position + i);
      }
    }
    const HeadQueries rows{static_cast<int>(queries.size()), queries.data(), outputs.data(),
                           positions.data()};
    const ScoreRule rule{static_cast<float>(shape.scale), shape.window,
                         static_cast<float>(shape.score_cap)};
    attend_head(attention_kernel_, pages, share.head, share.table, rule, rows, scores);
  }

  Team team_;
  const TileKernel kernel_ = choose_tile_kernel();
  const AttentionKernel attention_kernel_ = choose_attention_kernel();
  QuantizedRows activations_;
  std::vector<AttentionShare> attention_;
};

}  // namespace

std::unique_ptr<Ops> make_packed_ops(int threads) { return std::make_unique<PackedOps>(threads); }

}  // namespace spillway::local::ops
