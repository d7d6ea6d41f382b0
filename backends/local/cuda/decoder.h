// The forward pass of a decoder: which kernels run in which order, enqueued on one stream.
//
// The thread of its GPU only. Owns the activations and the KV pages; reads the weights and the
// step's state. It enqueues and returns: nothing is waited for, so a whole pass can be captured in
// a graph. A shape that is one of several ranks' share computes that, and sums with the others.
#pragma once

#include "backends/local/cuda/decoder_weights.h"
#include "backends/local/cuda/expert_layer.h"
#include "backends/local/cuda/latent_layer.h"
#include "backends/local/cuda/linear.h"
#include "backends/local/cuda/peer_exchange.h"
#include "backends/local/cuda/step_rows.h"
#include "backends/local/cuda/step_state.h"

#include <memory>
#include <vector>

namespace spillway::local::cuda {

struct DecoderOptions {
  int kv_blocks = 0;
  bool kv_e4m3 = false;  // Keys and values in 8 bits, with a scale for each head of a token.
  // Up to here the skinny kernel multiplies, beyond it cuBLASLt; weights of integers, which
  // cuBLASLt takes as bf16 only, have a kernel of their own up to packed_rows_max.
  int skinny_rows_max = 8;
  int packed_rows_max = 512;
  int parted_numbers_min = 360'000;  // See PeerExchange::Limits.
};

// Where the keys and values of one layer lie; without scales they are bf16.
struct KvPages {
  void* keys = nullptr;
  void* values = nullptr;
  float* key_scales = nullptr;
  float* value_scales = nullptr;
};

class Decoder {
 public:
  static Result<std::unique_ptr<Decoder>> create(const DecoderShape& shape,
                                                 const DecoderOptions& options,
                                                 std::unique_ptr<DecoderWeights> weights,
                                                 const StepState& state, CUstream_st* stream);

  const DecoderShape& shape() const { return shape_; }
  const DecoderWeights& weights() const { return *weights_; }
  std::int64_t kv_bytes() const { return kv_bytes_; }

  // Enqueues the pass: appends keys and values and leaves logits in logits(). First failure, or
  // nothing.
  Result<void> enqueue(const StepRows& rows);

  // [logit rows, vocabulary] fp32, of the last pass; of several ranks, on the first.
  float* logits() const { return exchange_ ? exchange_->logits() : logits_.get<float>(); }

  // Null unless the shape is one of several ranks' share.
  PeerExchange* exchange() const { return exchange_.get(); }

  // Finds the fastest products for steps of so many rows, overwriting the activations. Waits for
  // the stream.
  Result<void> tune(int rows);

 private:
  Decoder(const DecoderShape& shape, const DecoderOptions& options,
          std::unique_ptr<DecoderWeights> weights, const StepState& state, CUstream_st* stream);
  Result<void> allocate();
  Result<void> make_exchange();
  Result<void> upload_angles(const std::vector<double>& frequencies, double gain, DeviceMemory& to);
  void attention(int index, const StepRows& rows);
  void feed_forward(int index, const StepRows& rows);
  void mix_experts(int index, int rows);
  void attend(int index, const StepRows& rows);
  void attend_latent(int index, const StepRows& rows);
  void rope_rows(int index, const StepRows& rows);
  bool decodes_rope_themselves(const StepRows& rows) const;
  void attend_chunks(int index, const StepRows& rows);
  void attend_decodes(int index, const StepRows& rows);
  std::int64_t kv_lines() const;
  std::int64_t kv_line_bytes() const;
  std::int64_t kv_layer_bytes() const;
  KvPages pages_of(int layer) const;
  float score_scale() const;
  const float* angles_of(int layer) const;
  int window_of(int layer) const;
  void head(const StepRows& rows);
  void cap_logits(int rows);
  void fill_activations(int rows);
  void norm(const void* weight, int rows, const std::int32_t* row_index, bool e4m3);
  void quantize(const DeviceMemory& x, int width, int rows);
  void gate(int index, int rows);
  void add_skinny(const void* x, const Matrix& weight, const void* post_norm, int rows, int k);
  void add_normed(const Matrix& weight, const void* post_norm, int rows, bool scaled);
  void skinny(void* out, const void* x, const Matrix& weight, const void* norm_weight, int rows,
              int n, int k, int epilogue, int out_stride = 0);
  void linear(const LinearCall& call, const Matrix& weight);
  void packed_linear(const LinearCall& call, const Matrix& weight);
  void widened_linear(const LinearCall& call, const Matrix& weight);
  Result<void> tune_product(std::vector<LinearCall> calls, const Matrix& weight);
  static int slice_rows(const LinearCall& call);
  bool e4m3() const { return weights_->layers().front().qkv.e4m3(); }
  bool is_skinny(int rows) const { return rows <= skinny_rows_max_; }
  LinearCall layer_call(LinearCall call, const Matrix& weight) const;
  void leave_sum(const Matrix& weight, const void* post_norm, int rows);
  void leave_sum_of_ranks(const float* scales, const void* post_norm, int rows);
  LinearCall qkv_call(int layer, int rows) const;
  LinearCall attention_out_call(int layer, int rows) const;
  LinearCall gate_up_call(int layer, int rows) const;
  LinearCall down_call(int layer, int rows) const;
  LinearCall router_call(int layer, int rows) const;
  LinearCall head_call(int rows) const;

  const DecoderShape shape_;
  const DecoderOptions options_;
  const int skinny_rows_max_;
  const std::unique_ptr<DecoderWeights> weights_;
  const StepState& state_;
  CUstream_st* const stream_;
  std::unique_ptr<Linear> linear_;
  FirstError errors_;

  DeviceMemory hidden_;             // [rows, width] the residual stream
  DeviceMemory normed_;             // [rows, width]
  DeviceMemory qkv_;                // [rows, qkv_width]
  DeviceMemory mixed_;              // [rows, query_width] what attention yields
  DeviceMemory gate_up_;            // [rows, 2 · feed_forward_width]
  DeviceMemory gated_;              // [rows, feed_forward_width]
  DeviceMemory quantized_;          // [rows, the widest of these] E4M3: what a product takes
  DeviceMemory row_scales_;         // [rows] of quantized_, until the product of it is scaled
  DeviceMemory product_;            // [rows, width] what hidden_ lacks, not scaled or normed yet
  DeviceMemory widened_;            // Rows of an integer matrix in bf16.
  const float* lacking_ = nullptr;  // Its columns' scales, while hidden_ lacks it.
  bool lacks_ranks_ = false;        // While hidden_ lacks the ranks' products.
  std::unique_ptr<PeerExchange> exchange_;
  std::unique_ptr<LatentLayer> latent_;   // Null: heads have keys and values of their own.
  std::unique_ptr<ExpertLayer> experts_;  // Null: all layers are dense.
  DeviceMemory logits_;
  DeviceMemory angles_;           // [context_max, rotated width / 2, 2]
  DeviceMemory windowed_angles_;  // Of layers with a window, where they have their own.
  DeviceMemory pages_;  // Per layer keys, then values, then their scales if they have any; or
                        // lines of latent rows.
  std::int64_t kv_bytes_ = 0;
};

}  // namespace spillway::local::cuda
