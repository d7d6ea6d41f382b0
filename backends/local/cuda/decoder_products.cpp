// The products of the forward pass, and what makes their inputs: norms, silu, rows of E4M3.
#include "backends/local/cuda/decoder.h"

#include <utility>

namespace spillway::local::cuda {

// Of the residual stream, which first gets what it lacks; as bf16 or, for a product, as E4M3.
void Decoder::norm(const void* weight, int rows, const std::int32_t* row_index, bool e4m3) {
  kernels::RmsNorm args = {normed_.get(), hidden_.get(), nullptr,      weight,
                           row_index,     rows,          shape_.width, shape_.norm_epsilon};
  if (lacking_ != nullptr) {
    args.x = product_.get();
    args.residual = hidden_.get();
    args.x_scales = row_scales_.get<float>();
    args.column_scales = std::exchange(lacking_, nullptr);
  }
  if (e4m3) {
    args.out = quantized_.get();
    args.scales = row_scales_.get<float>();
  }
  errors_.note(spillway_rms_norm(&args, stream_), "norm");
}

void Decoder::quantize(const DeviceMemory& x, int width, int rows) {
  const kernels::QuantizeRows args = {quantized_.get(), row_scales_.get<float>(), x.get(), rows,
                                      width};
  errors_.note(spillway_quantize_rows(&args, stream_), "quantizing");
}

void Decoder::gate(int index, int rows) {
  if (!e4m3()) {
    const kernels::SiluMul silu = {gated_.get(), gate_up_.get(), rows, shape_.feed_forward_width};
    errors_.note(spillway_silu_mul(&silu, stream_), "silu");
    return;
  }
  float* const scales = row_scales_.get<float>();
  const kernels::QuantizeRows args = {
      quantized_.get(),          scales, gate_up_.get(), rows,
      shape_.feed_forward_width, 1,      scales,         weights_->layers()[index].gate_up.scales};
  errors_.note(spillway_quantize_rows(&args, stream_), "silu");
}

void Decoder::skinny(void* out, const void* x, const Matrix& weight, const void* norm_weight,
                     int rows, int n, int k, int epilogue) {
  const kernels::SkinnyLinear args = {out, x, weight.data,         norm_weight, rows,
                                      n,   k, shape_.norm_epsilon, epilogue,    weight.scales};
  errors_.note(spillway_skinny_linear(&args, stream_), "skinny linear");
}

void Decoder::linear(const LinearCall& call) { errors_.note(linear_->run(call), "linear"); }

// What is added to the residual stream comes to it with the next norm, if the weight is E4M3.
LinearCall Decoder::layer_call(LinearCall call, const Matrix& weight) const {
  call.weight = weight.data;
  if (weight.scales == nullptr) return call;
  call.x = quantized_.get();
  call.e4m3 = true;
  if (call.kind == LinearOut::add_bf16) {
    call.out = product_.get();
    call.kind = LinearOut::bf16;
  }
  return call;
}

LinearCall Decoder::qkv_call(int layer, int rows) const {
  const Matrix& weight = weights_->layers()[layer].qkv;
  LinearCall call = layer_call(
      {qkv_.get(), normed_.get(), nullptr, rows, shape_.qkv_width(), shape_.width}, weight);
  if (!call.e4m3) return call;
  call.x_scales = row_scales_.get<float>();
  call.weight_scales = weight.scales;
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

LinearCall Decoder::head_call(int rows) const {
  return {logits_.get(),     normed_.get(), weights_->head(), rows,
          shape_.vocabulary, shape_.width,  LinearOut::fp32};
}

}  // namespace spillway::local::cuda
