// The arithmetic of a decoder, one call a kernel: what the model is written in. One implementation
// a device; the CPU's is the oracle of every other.
//
// Called by the engine thread only. Results go into tensors that the caller owns and reuses, so
// that a step allocates nothing and a device can capture it as a graph. Activations are [tokens,
// width], row-major, in `activation_type()`; the residual stream, norm sums, softmax and logits are
// fp32 on every device. T tokens, B sequences and R rows of logits in a step; D is the head's
// width.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace spillway::local::ops {

// A matrix [rows, columns] that a linear multiplies by, as a model file holds it.
class MatrixSource {
 public:
  virtual ~MatrixSource() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t columns() const = 0;
  // Writes row `row` as `columns()` floats.
  virtual void read_row(std::int64_t row, float* out) const = 0;
};

// Weights in the layout and precision that a device multiplies fastest. Made by Ops::pack.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t columns() const = 0;
};

struct HeadShape {
  int query_heads = 0;
  int kv_heads = 0;
  int width = 0;  // D
  double scale = 0.0;

  int query_width() const { return query_heads * width; }
  int kv_width() const { return kv_heads * width; }
  int qkv_width() const {
    return query_width() + 2 * kv_width();
  }  // A row holds q, then k, then v.
};

// One layer's pages, [blocks, kv_heads, kBlockTokens, D] each.
struct KvLayer {
  at::Tensor keys;
  at::Tensor values;
};

// Where each token of a step stands; int32 on the device. Sequence b owns the query rows
// query_start[b] … query_start[b + 1] - 1, the last of which is at position context[b] - 1.
struct StepTensors {
  at::Tensor ids;          // [T]
  at::Tensor positions;    // [T]
  at::Tensor slots;        // [T]: block · kBlockTokens + offset, where the token's k and v go
  at::Tensor query_start;  // [B + 1]
  at::Tensor context;      // [B]: tokens in the pages once this step's are appended
  at::Tensor block_table;  // [B, W], padded with 0
  at::Tensor logit_rows;   // [R]
  int query_max = 0;       // Longest slice; known on the host.
  int context_max = 0;
};

class Ops {
 public:
  virtual ~Ops() = default;

  virtual at::ScalarType activation_type() const = 0;
  virtual at::Device device() const = 0;

  // Stacks the sources by rows (fused q, k, v; gate, up) and packs them.
  virtual std::unique_ptr<Matrix> pack(const std::vector<const MatrixSource*>& sources) = 0;
  virtual KvLayer make_kv_layer(int blocks, const HeadShape& heads) = 0;

  // residual[T, columns] (fp32) = rows `ids` of the table.
  virtual void embed(const Matrix& table, const at::Tensor& ids, at::Tensor& residual) = 0;

  // out = residual / rms(residual) · weight
  virtual void rms_norm(const at::Tensor& residual, const at::Tensor& weight, double epsilon,
                        at::Tensor& out) = 0;

  // residual += x, then as rms_norm.
  virtual void add_rms_norm(at::Tensor& residual, const at::Tensor& x, const at::Tensor& weight,
                            double epsilon, at::Tensor& out) = 0;

  // out[T, rows] = x[T, columns] · matrixᵀ; accumulates in fp32. `out` is of activation_type() or
  // fp32.
  virtual void linear(const at::Tensor& x, const Matrix& matrix, at::Tensor& out) = 0;

  // Rotates q and k of `qkv` in place (the half-split convention: pairs are i and i + D/2) by the
  // angles positions · inverse_frequency[D/2] (fp32), and writes k and v to the step's slots.
  virtual void rope_append(at::Tensor& qkv, const HeadShape& heads,
                           const at::Tensor& inverse_frequency, const StepTensors& step,
                           KvLayer& kv) = 0;

  // out[T, query_width]: causal attention of each query over its sequence's pages.
  virtual void attend(const at::Tensor& qkv, const HeadShape& heads, const StepTensors& step,
                      const KvLayer& kv, at::Tensor& out) = 0;

  // out[T, f] = silu(gate_up[:, :f]) · gate_up[:, f:]
  virtual void silu_mul(const at::Tensor& gate_up, at::Tensor& out) = 0;

  // out[R, columns] = residual[rows]: only rows that want logits go through the head.
  virtual void gather_rows(const at::Tensor& residual, const at::Tensor& rows, at::Tensor& out) = 0;
};

}  // namespace spillway::local::ops
