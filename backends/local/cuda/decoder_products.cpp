// The products of the forward pass, and what makes their inputs: norms, silu, rows of E4M3, sums
// over ranks.
#include "backends/local/cuda/decoder.h"

#include <algorithm>
#include <utility>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kBf16Bytes = 2;

}  // namespace

// Of the residual stream, which first gets what it lacks; as bf16 or, for a product, as E4M3.
void Decoder::norm(const void* weight, int rows, const std::int32_t* row_index, bool e4m3) {
  kernels::RmsNorm args = {normed_.get(), hidden_.get(), nullptr,      weight,
                           row_index,     rows,          shape_.width, shape_.norm_epsilon};
  if (e4m3) {
    args.out = quantized_.get();
    args.scales = row_scales_.get<float>();
  }
  if (std::exchange(lacks_ranks_, false)) {
    args.residual = hidden_.get();
    errors_.note(exchange_->norm_sum(args), "sum over GPUs");
    return;
  }
  if (lacking_ != nullptr) {
    args.x = product_.get();
    args.residual = hidden_.get();
    args.x_scales = row_scales_.get<float>();
    args.column_scales = std::exchange(lacking_, nullptr);
  }
  errors_.note(spillway_rms_norm(&args, stream_), "norm");
}

void Decoder::quantize(const DeviceMemory& x, int width, int rows) {
  const kernels::QuantizeRows args = {quantized_.get(), row_scales_.get<float>(), x.get(), rows,
                                      width};
  errors_.note(spillway_quantize_rows(&args, stream_), "quantizing");
}

void Decoder::gate(int index, int rows) {
  const int kind = shape_.gemma.used ? kernels::kGelu : kernels::kSilu;
  if (!e4m3()) {
    const kernels::GateRows args = {gated_.get(), gate_up_.get(), rows, shape_.feed_forward_width,
                                    kind};
    errors_.note(spillway_gate_rows(&args, stream_), "gate");
    return;
  }
  float* const scales = row_scales_.get<float>();
  const kernels::QuantizeRows args = {
      quantized_.get(),
      scales,
      gate_up_.get(),
      rows,
      shape_.feed_forward_width,
      kind,
      scales,
      static_cast<const float*>(weights_->layers()[index].gate_up.scales)};
  errors_.note(spillway_quantize_rows(&args, stream_), "gate");
}

void Decoder::skinny(void* out, const void* x, const Matrix& weight, const void* norm_weight,
                     int rows, int n, int k, int epilogue, int out_stride) {
  const kernels::SkinnyLinear args = {out,         x,
                                      weight.data, norm_weight,
                                      rows,        n,
                                      k,           shape_.norm_epsilon,
                                      epilogue,    weight.scales,
                                      out_stride,  weight.format};
  errors_.note(spillway_skinny_linear(&args, stream_), "skinny linear");
}

// hidden_ += product_, normed; of E4M3 it is not `scaled` yet.
void Decoder::add_normed(const Matrix& weight, const void* post_norm, int rows, bool scaled) {
  kernels::AddNormed args = {hidden_.get(), product_.get(), post_norm,
                             rows,          shape_.width,   shape_.norm_epsilon};
  if (!scaled && weight.e4m3()) {
    args.x_scales = row_scales_.get<float>();
    args.column_scales = static_cast<const float*>(weight.scales);
  }
  errors_.note(spillway_add_normed(&args, stream_), "norm behind a product");
}

// hidden_ += x · weightᵀ, normed if there is a norm behind it.
void Decoder::add_skinny(const void* x, const Matrix& weight, const void* post_norm, int rows,
                         int k) {
  if (exchange_) {
    skinny(exchange_->few_product(), x, weight, nullptr, rows, shape_.width, k,
           kernels::kStoreFloat);
    errors_.note(post_norm ? exchange_->store_few(product_.get(), rows)
                           : exchange_->sum_few(hidden_.get(), rows),
                 "sum over GPUs");
  } else if (post_norm != nullptr) {
    skinny(product_.get(), x, weight, nullptr, rows, shape_.width, k, kernels::kStoreBf16);
  } else {
    skinny(hidden_.get(), x, weight, nullptr, rows, shape_.width, k, kernels::kAddBf16);
  }
  if (post_norm != nullptr) add_normed(weight, post_norm, rows, true);
}

// The product with this weight is where the next norm finds it, if it is not in hidden_ already.
// What ranks add up must be scaled before, by each for itself.
void Decoder::leave_sum(const Matrix& weight, const void* post_norm, int rows) {
  const auto* scales = weight.e4m3() ? static_cast<const float*>(weight.scales) : nullptr;
  if (exchange_) return leave_sum_of_ranks(scales, post_norm, rows);
  if (post_norm != nullptr) return add_normed(weight, post_norm, rows, false);
  lacking_ = scales;
}

void Decoder::leave_sum_of_ranks(const float* scales, const void* post_norm, int rows) {
  if (scales != nullptr) {
    const kernels::ScaleRows args = {exchange_->product(), row_scales_.get<float>(), scales, rows,
                                     shape_.width};
    errors_.note(spillway_scale_rows(&args, stream_), "scaling");
  }
  lacks_ranks_ = post_norm == nullptr;
  if (lacks_ranks_) return;
  const kernels::AddNormed norm = {hidden_.get(), nullptr,      post_norm,
                                   rows,          shape_.width, shape_.norm_epsilon};
  errors_.note(exchange_->add_normed_sum(norm), "sum over GPUs");
}

// This rank's part of the vocabulary.
void Decoder::head(const StepRows& rows) {
  if (rows.logits == 0) return;
  const std::int32_t* row_index = rows.decodes_only ? nullptr : state_.device(StepState::logit_row);
  if (rows.decodes_only && is_skinny(rows.logits)) {
    const Extent part = shape_.head_rows();
    skinny(logits() + part.first, hidden_.get(), {weights_->head()}, weights_->last_norm(),
           rows.logits, part.count, shape_.width, kernels::kStoreFloat, shape_.vocabulary);
  } else {
    norm(weights_->last_norm(), rows.logits, row_index, false);
    linear(head_call(rows.logits), {});
  }
}

// Of all ranks.
void Decoder::cap_logits(int rows) {
  if (shape_.gemma.logit_cap == 0.0) return;
  const kernels::CapLogits cap = {logits(), std::int64_t{rows} * shape_.vocabulary,
                                  static_cast<float>(shape_.gemma.logit_cap)};
  errors_.note(spillway_cap_logits(&cap, stream_), "capping logits");
}

// Rows of an integer matrix that become bf16 at once: few enough for the product to find them in
// the L2, and enough of them to fill the device.
int Decoder::slice_rows(const LinearCall& call) {
  constexpr std::int64_t kSliceBytes = 24 << 20;
  constexpr std::int64_t kRowsMin = 1792;
  constexpr int kTileRows = 128;
  const std::int64_t fit = std::max(kRowsMin, kSliceBytes / (call.k * kBf16Bytes));
  const auto slices = static_cast<int>((call.n + fit - 1) / fit);
  const int even = (call.n + slices - 1) / slices;
  return std::min(call.n, (even + kTileRows - 1) / kTileRows * kTileRows);
}

void Decoder::linear(const LinearCall& call, const Matrix& weight) {
  if (!weight.integer()) {
    errors_.note(linear_->run(call), "linear");
  } else if (call.rows <= options_.packed_rows_max) {
    packed_linear(call, weight);
  } else {
    widened_linear(call, weight);
  }
}

void Decoder::packed_linear(const LinearCall& call, const Matrix& weight) {
  const kernels::PackedLinear args = {
      call.out,      call.x,        weight.data,
      weight.scales, call.rows,     call.n,
      call.k,        weight.format, call.kind == LinearOut::add_bf16 ? 1 : 0};
  errors_.note(spillway_packed_linear(&args, stream_), "packed linear");
}

void Decoder::widened_linear(const LinearCall& call, const Matrix& weight) {
  const int rows = slice_rows(call);
  for (int row = 0; row < call.n; row += rows) {
    LinearCall slice = call;
    slice.n = std::min(rows, call.n - row);
    slice.out = static_cast<char*>(call.out) + row * kBf16Bytes;
    slice.out_stride = call.n;
    const kernels::WidenWeights args = {widened_.get(), weight.data, weight.scales, row,
                                        slice.n,        call.n,      call.k,        weight.format};
    errors_.note(spillway_widen_weights(&args, stream_), "widening weights");
    errors_.note(linear_->run(slice), "linear");
  }
}

// `calls` differ in their weights alone, which are of this matrix' kind.
Result<void> Decoder::tune_product(std::vector<LinearCall> calls, const Matrix& weight) {
  if (weight.integer()) {
    if (calls.front().rows <= options_.packed_rows_max) return {};
    for (LinearCall& call : calls) {
      call.out_stride = call.n;
      call.n = slice_rows(call);
    }
  }
  return linear_->tune(calls);
}

// What is added to the residual stream comes to it with the next norm, if the weight is E4M3 or
// other ranks have their part of it, and through a norm of its own in Gemma.
LinearCall Decoder::layer_call(LinearCall call, const Matrix& weight) const {
  call.weight = weight.integer() ? widened_.get() : weight.data;
  if (exchange_ && call.kind == LinearOut::add_bf16) {
    call.out = exchange_->product();
    call.kind = LinearOut::bf16;
  }
  if (call.kind == LinearOut::add_bf16 && (weight.e4m3() || shape_.gemma.used)) {
    call.out = product_.get();
    call.kind = LinearOut::bf16;
  }
  if (!weight.e4m3()) return call;
  call.x = quantized_.get();
  call.e4m3 = true;
  return call;
}

LinearCall Decoder::qkv_call(int layer, int rows) const {
  const Matrix& weight = weights_->layers()[layer].qkv;
  LinearCall call = layer_call(
      {qkv_.get(), normed_.get(), nullptr, rows, shape_.qkv_width(), shape_.width}, weight);
  if (!call.e4m3) return call;
  call.x_scales = row_scales_.get<float>();
  call.weight_scales = static_cast<const float*>(weight.scales);
  return call;
}

LinearCall Decoder::attention_out_call(int layer, int rows) const {
  return layer_call({hidden_.get(), mixed_.get(), nullptr, rows, shape_.width, shape_.query_width(),
                     LinearOut::add_bf16},
                    weights_->layers()[layer].attention_out);
}

LinearCall Decoder::gate_up_call(int layer, int rows) const {
  return layer_call(
      {gate_up_.get(), normed_.get(), nullptr, rows, 2 * shape_.feed_forward_width, shape_.width},
      weights_->layers()[layer].gate_up);
}

LinearCall Decoder::down_call(int layer, int rows) const {
  return layer_call({hidden_.get(), gated_.get(), nullptr, rows, shape_.width,
                     shape_.feed_forward_width, LinearOut::add_bf16},
                    weights_->layers()[layer].down);
}

LinearCall Decoder::router_call(int layer, int rows) const {
  return {experts_->logits(),
          normed_.get(),
          weights_->layers()[layer].router.data,
          rows,
          shape_.experts.count,
          shape_.width,
          LinearOut::fp32};
}

LinearCall Decoder::head_call(int rows) const {
  const Extent part = shape_.head_rows();
  LinearCall call = {logits() + part.first, normed_.get(),  weights_->head(), rows, part.count,
                     shape_.width,          LinearOut::fp32};
  call.out_stride = shape_.vocabulary;
  return call;
}

}  // namespace spillway::local::cuda
