#include "backends/local/cuda/expert_layer.h"

#include "backends/local/cuda/grouped_product.h"
#include "backends/local/cuda/linear.h"

#include <algorithm>

namespace spillway::local::cuda {

namespace {

constexpr std::size_t kBf16Bytes = 2;
constexpr std::size_t kWordBytes = 4;

}  // namespace

Result<std::unique_ptr<ExpertLayer>> ExpertLayer::create(const DecoderShape& shape,
                                                         kernels::WeightFormat format,
                                                         const StepState& state,
                                                         CUstream_st* stream) {
  std::unique_ptr<ExpertLayer> layer(new ExpertLayer(shape, state, stream));
  const auto rows = static_cast<std::size_t>(Linear::padded_rows(state.limits().rows_max));
  const auto taken = rows * static_cast<std::size_t>(layer->slots());
  const auto all = static_cast<std::size_t>(layer->all());
  const auto inner = static_cast<std::size_t>(shape.experts.width);
  const auto width = static_cast<std::size_t>(shape.width);
  Allocations allocations;
  allocations.zeroed(layer->logits_,
                     rows * static_cast<std::size_t>(shape.experts.count) * kWordBytes);
  allocations.zeroed(layer->weights_, taken * kWordBytes);
  allocations.zeroed(layer->lists_, all * rows * kWordBytes);
  allocations.zeroed(layer->counts_, all * kWordBytes);
  allocations.zeroed(layer->gated_, taken * inner * kBf16Bytes);
  allocations.zeroed(layer->answers_, taken * width * kBf16Bytes);
  if (format == kernels::kE4m3) {
    allocations.zeroed(layer->quantized_, std::max(taken * inner, rows * width));
    allocations.zeroed(layer->row_scales_, taken * kWordBytes);
  }
  if (auto result = allocations.result(); !result) return result.error();
  return layer;
}

// Many rows meet E4M3 as E4M3.
void ExpertLayer::take(kernels::GroupedLinear& product, const Matrix& weight, const void* x,
                       int rows, bool few, FirstError& errors) {
  product.weight = weight.data;
  product.scales = weight.scales;
  product.format = weight.format;
  product.x = x;
  product.x_stride = product.k;
  if (few || !weight.e4m3()) return;
  const kernels::QuantizeRows args = {quantized_.get(), row_scales_.get<float>(), x, rows,
                                      product.k};
  errors.note(spillway_quantize_rows(&args, stream_), "quantizing");
  product.x = quantized_.get();
  product.x_scales = row_scales_.get<float>();
}

void ExpertLayer::route(const LayerWeights& layer, int rows, FirstError& errors) {
  const Experts& experts = shape_.experts;
  const kernels::RouteTokens args = {weights_.get<float>(),
                                     lists_.get<std::int32_t>(),
                                     counts_.get<std::int32_t>(),
                                     logits(),
                                     layer.router_bias,
                                     state_.device(StepState::positions),
                                     rows,
                                     experts.count,
                                     experts.shared,
                                     experts.chosen,
                                     experts.groups,
                                     experts.groups_taken,
                                     experts.sigmoid ? 1 : 0,
                                     experts.normalised ? 1 : 0,
                                     static_cast<float>(experts.scale),
                                     state_.limits().rows_max};
  errors.note(spillway_route_tokens(&args, stream_), "routing");
}

void ExpertLayer::answer(const LayerWeights& layer, const Call& call, FirstError& errors) {
  const bool few = call.normed == nullptr;
  route(layer, call.rows, errors);
  kernels::GroupedLinear product = {};
  product.groups = all();
  product.lists = lists_.get<std::int32_t>();
  product.counts = counts_.get<std::int32_t>();
  product.list_stride = state_.limits().rows_max;
  product.rows = call.rows;
  product.rows_listed = call.rows * slots();
  product.rows_usual = call.rows * shape_.experts.chosen / shape_.experts.count;
  product.out = gated_.get();
  product.n = shape_.experts.width;
  product.k = shape_.width;
  product.silu_mul = 1;
  product.x_share = slots();
  product.out_stride = shape_.experts.width;
  take(product, layer.expert_gate_up, few ? call.hidden : call.normed, call.rows, few, errors);
  errors.note(enqueue_grouped(product, few, stream_, few ? layer.feed_forward_norm : nullptr,
                              shape_.norm_epsilon),
              "experts");
  product.out = answers_.get();
  product.n = shape_.width;
  product.k = shape_.experts.width;
  product.silu_mul = 0;
  product.after_same_lists = 1;
  product.x_share = 1;
  product.out_stride = shape_.width;
  take(product, layer.expert_down, gated_.get(), call.rows * slots(), few, errors);
  errors.note(enqueue_grouped(product, few, stream_), "experts");
  const kernels::SumExperts sum = {call.out,
                                   answers_.get(),
                                   weights_.get<float>(),
                                   counts_.get<std::int32_t>(),
                                   call.rows,
                                   shape_.width,
                                   slots(),
                                   all(),
                                   call.epilogue};
  errors.note(spillway_sum_experts(&sum, stream_), "sum of experts");
}

}  // namespace spillway::local::cuda
