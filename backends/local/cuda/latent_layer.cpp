#include "backends/local/cuda/latent_layer.h"

#include "backends/local/cuda/grouped_product.h"

#include <cmath>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kBf16Bytes = 2;
constexpr int kHeadsOfBlock = 16;  // Of decode attention.
constexpr int kManyBlocks = 66;    // More than these fill the device undivided.

}  // namespace

Result<std::unique_ptr<LatentLayer>> LatentLayer::create(const DecoderShape& shape,
                                                         const StepState& state,
                                                         CUstream_st* stream) {
  std::unique_ptr<LatentLayer> layer(new LatentLayer(shape, state, stream));
  const std::int64_t rows = std::int64_t{state.limits().rows_max} * shape.query_heads;
  Allocations allocations;
  allocations.zeroed(layer->queries_,
                     static_cast<std::size_t>(rows * kernels::kLatentLine * kBf16Bytes));
  allocations.zeroed(layer->latent_,
                     static_cast<std::size_t>(rows * kernels::kLatentWidth * kBf16Bytes));
  if (auto result = allocations.result(); !result) return result.error();
  return layer;
}

float LatentLayer::score_scale() const {
  const LatentAttention& latent = shape_.latent;
  return static_cast<float>(latent.score_gain / std::sqrt(latent.key_width + latent.rope_width));
}

void LatentLayer::attend(const LayerWeights& layer, const Call& call, const StepRows& rows,
                         FirstError& errors) {
  const LatentAttention& latent = shape_.latent;
  const int heads = shape_.query_heads;
  const int all = rows.all();
  append(layer, call, all, errors);
  kernels::GroupedLinear product = {};
  product.groups = heads;
  product.x_share = 1;
  product.rows = all;
  product.out = queries_.get();
  product.x = call.projection;
  product.weight = layer.key_up;
  product.n = latent.width;
  product.k = latent.key_width;
  product.x_stride = shape_.qkv_width();
  product.x_group = latent.key_width + latent.rope_width;
  product.out_stride = std::int64_t{heads} * latent.line_width();
  product.out_group = latent.line_width();
  errors.note(enqueue_grouped(product, call.few, stream_), "queries of latent rows");
  if (rows.chunks > 0) attend_chunks(call, rows, errors);
  if (rows.decodes > 0) attend_decodes(call, rows, errors);
  product.out = call.mixed;
  product.x = latent_.get();
  product.weight = layer.value_up;
  product.n = latent.value_width;
  product.k = latent.width;
  product.x_stride = std::int64_t{heads} * latent.width;
  product.x_group = latent.width;
  product.out_stride = shape_.query_width();
  product.out_group = latent.value_width;
  errors.note(enqueue_grouped(product, call.few, stream_), "values of latent rows");
}

void LatentLayer::append(const LayerWeights& layer, const Call& call, int rows,
                         FirstError& errors) {
  const kernels::LatentAppend args = {queries_.get(),
                                      call.pages,
                                      call.projection,
                                      layer.latent_norm,
                                      call.angles,
                                      state_.device(StepState::positions),
                                      state_.device(StepState::row_sequence),
                                      state_.device(StepState::page_table),
                                      rows,
                                      state_.limits().pages_max,
                                      shape_.query_heads,
                                      shape_.latent.key_width,
                                      shape_.norm_epsilon};
  errors.note(spillway_latent_append(&args, stream_), "latent rows");
}

kernels::LatentAttention LatentLayer::attention_of(const Call& call) const {
  kernels::LatentAttention args = {};
  args.out = latent_.get();
  args.queries = queries_.get();
  args.pages = call.pages;
  args.page_table = state_.device(StepState::page_table);
  args.page_stride = state_.limits().pages_max;
  args.heads = shape_.query_heads;
  args.scale = score_scale();
  return args;
}

// The chunks' rows come after those of the decodes.
void LatentLayer::attend_chunks(const Call& call, const StepRows& rows, FirstError& errors) {
  kernels::LatentAttention args = attention_of(call);
  const std::int64_t before = std::int64_t{rows.decodes} * args.heads * kBf16Bytes;
  args.out = latent_.get<char>() + before * kernels::kLatentWidth;
  args.queries = queries_.get<char>() + before * kernels::kLatentLine;
  args.chunk_sequence = state_.device(StepState::chunk_sequence);
  args.row_start = state_.device(StepState::chunk_start);
  args.first_position = state_.device(StepState::chunk_position);
  args.chunks = rows.chunks;
  args.rows_max = rows.chunk_rows_max;
  args.splits = 1;
  errors.note(spillway_latent_attention(&args, stream_), "prefill attention");
}

void LatentLayer::attend_decodes(const Call& call, const StepRows& rows, FirstError& errors) {
  kernels::LatentAttention args = attention_of(call);
  args.first_position = state_.device(StepState::positions);
  args.chunks = rows.decodes;
  const int blocks = (args.heads + kHeadsOfBlock - 1) / kHeadsOfBlock;
  args.splits = rows.decodes * blocks > kManyBlocks ? 1 : decode_splits(rows.decodes, blocks);
  args.beside_earlier = rows.chunks > 0 ? 1 : 0;
  errors.note(spillway_latent_attention(&args, stream_), "decode attention");
}

}  // namespace spillway::local::cuda
