// The arithmetic of a decoder in the pieces that a device can fuse: what the model is written in.
// One implementation a device and precision; the plain ATen one is the oracle of every other.
//
// Called by the engine thread only. Results go into tensors that the caller owns and reuses, so
// that a step allocates little and a device can capture it as a graph. Tensors are row-major:
// activations [tokens, width] of activation_type(), the residual stream of residual_type(); norms,
// softmax and every accumulation are fp32. T tokens, B sequences, R rows of logits in a step; D is
// a head's width.
#pragma once

#include "backends/local/loader/tensor.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace spillway::local::ops {

// Rows of a weight matrix as a model file holds them. The file must stay open while it is packed.
struct MatrixSource {
  const loader::Tensor* tensor = nullptr;
  std::vector<std::int64_t> row_order;  // Row i is the tensor's row row_order[i]; empty: as stored.
  std::int64_t first_row = 0;           // Of a stack of matrices, one…
  std::int64_t rows = 0;                // …of so many rows; 0: all there are.

  std::int64_t row_count() const { return rows > 0 ? rows : tensor->rows(); }
  std::int64_t row(std::int64_t i) const {
    return row_order.empty() ? first_row + i : row_order[static_cast<std::size_t>(i)];
  }
};

// What the gate of a feed forward layer goes through.
enum class Gate {
  silu,
  gelu,  // By its approximation with tanh.
};

// Weights in the layout and precision that a device multiplies fastest. Made by Ops::pack.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t columns() const = 0;
};

struct Norm {
  at::Tensor weight;  // [width]
  double epsilon = 0.0;
};

struct AttentionShape {
  int query_heads = 0;
  int kv_heads = 0;
  int head_width = 0;      // D
  double scale = 0.0;      // Of a score, before softmax.
  int window = 0;          // A position sees so many, its own included; 0: all before it.
  double score_cap = 0.0;  // cap · tanh(scaled score / cap); 0: scores are as they are.

  int query_width() const { return query_heads * head_width; }
  int kv_width() const { return kv_heads * head_width; }
  int qkv_width() const {
    return query_width() + 2 * kv_width();
  }  // A row holds q, then k, then v.
};

// One layer's pages, one for each block and kv head; what is in a page is the device's business.
struct KvLayer {
  at::Tensor keys;
  at::Tensor values;
};

// Where each token of a step stands; int32 on the device. Sequence b owns the query rows
// query_start[b] … query_start[b + 1] - 1, the last of which stands at position context[b] - 1.
struct StepTensors {
  at::Tensor ids;          // [T]
  at::Tensor positions;    // [T]
  at::Tensor slots;        // [T]: block · kBlockTokens + offset, where the token's k and v go
  at::Tensor query_start;  // [B + 1]
  at::Tensor context;      // [B]: tokens in the pages once this step's are appended
  at::Tensor block_table;  // [B, W], padded with 0
  at::Tensor logit_rows;   // [R]: rows among the T
  int query_max = 0;       // The longest slice, and the longest context: known on the host.
  int context_max = 0;
};

class Ops {
 public:
  virtual ~Ops() = default;

  virtual at::Device device() const = 0;
  virtual at::ScalarType activation_type() const = 0;
  virtual at::ScalarType residual_type() const = 0;

  // Stacks the sources by rows (q, k, v) and packs them.
  virtual std::unique_ptr<Matrix> pack(const std::vector<MatrixSource>& sources) = 0;

  // The matrix that norm_gate_up takes; in what order it holds its rows is the device's business.
  virtual std::unique_ptr<Matrix> pack_gate_up(const MatrixSource& gate,
                                               const MatrixSource& up) = 0;
  virtual KvLayer make_kv_layer(int blocks, const AttentionShape& shape) = 0;

  // residual[T, columns] = rows `ids` of the table.
  virtual void embed(const Matrix& table, const at::Tensor& ids, at::Tensor& residual) = 0;

  // out[T, rows] = norm(residual) · matrixᵀ, where norm(x) = x / sqrt(mean(x²) + epsilon) · weight
  virtual void norm_linear(const at::Tensor& residual, const Norm& norm, const Matrix& matrix,
                           at::Tensor& out) = 0;

  // out[T, f] = gate(gates) · up of norm(residual). Requires: a matrix from pack_gate_up.
  virtual void norm_gate_up(const at::Tensor& residual, const Norm& norm, const Matrix& matrix,
                            Gate gate, at::Tensor& out) = 0;

  // out[T, rows] (fp32) = x[T, columns] · matrixᵀ
  virtual void linear(const at::Tensor& x, const Matrix& matrix, at::Tensor& out) = 0;

  // residual[T, rows] += x[T, columns] · matrixᵀ
  virtual void linear_add(const at::Tensor& x, const Matrix& matrix, at::Tensor& residual) = 0;

  // logits[R, rows] (fp32) = norm(residual[rows of the step that want logits]) · matrixᵀ
  virtual void norm_head(const at::Tensor& residual, const StepTensors& step, const Norm& norm,
                         const Matrix& matrix, at::Tensor& logits) = 0;

  // Rotates q and k of each row by its position, pairs (i, i + D/2), with cos_sin[position, D/2, 2]
  // (fp32), and writes k and v to the row's slot. q is rotated in place; k and v of `qkv` are
  // undefined afterwards.
  virtual void rope_append(at::Tensor& qkv, const AttentionShape& shape, const at::Tensor& cos_sin,
                           const StepTensors& step, KvLayer& kv) = 0;

  // out[T, query_width]: causal attention of each row's q over its sequence's pages.
  virtual void attend(const at::Tensor& qkv, const AttentionShape& shape, const StepTensors& step,
                      const KvLayer& kv, at::Tensor& out) = 0;
};

}  // namespace spillway::local::ops
