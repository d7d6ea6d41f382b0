#include "backends/local/cuda/decoder.h"

#include <algorithm>
#include <cmath>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

namespace {

constexpr int kElementBytes = 2;  // bf16
constexpr int kSplitsMax = 16;

std::size_t bytes_of(std::int64_t rows, std::int64_t width) {
  return static_cast<std::size_t>(rows * width * kElementBytes);
}

}  // namespace

int decode_splits(int sequences, int kv_heads) {
  constexpr int kBlocksWanted = 264;  // Of decode attention: two a multiprocessor.
  int splits = 1;
  while (splits < kSplitsMax && 2 * splits * sequences * kv_heads <= kBlocksWanted) splits *= 2;
  return splits;
}

Decoder::Decoder(const DecoderShape& shape, const DecoderOptions& options,
                 std::unique_ptr<DecoderWeights> weights, const StepState& state,
                 CUstream_st* stream)
    : shape_(shape),
      options_(options),
      skinny_rows_max_(std::min(options.skinny_rows_max, kernels::kSkinnyTokensMax)),
      weights_(std::move(weights)),
      state_(state),
      stream_(stream) {}

Result<std::unique_ptr<Decoder>> Decoder::create(const DecoderShape& shape,
                                                 const DecoderOptions& options,
                                                 std::unique_ptr<DecoderWeights> weights,
                                                 const StepState& state, CUstream_st* stream) {
  std::unique_ptr<Decoder> decoder(new Decoder(shape, options, std::move(weights), state, stream));
  auto linear = Linear::create(stream);
  if (!linear) return linear.error();
  decoder->linear_ = std::move(*linear);
  if (auto result = decoder->allocate(); !result) return result.error();
  if (auto result = decoder->upload_angles(); !result) return result.error();
  if (shape.latent.used()) {
    auto latent = LatentLayer::create(shape, state, stream);
    if (!latent) return latent.error();
    decoder->latent_ = std::move(*latent);
  }
  if (shape.experts.used()) {
    auto experts = ExpertLayer::create(shape, state, stream);
    if (!experts) return experts.error();
    decoder->experts_ = std::move(*experts);
  }
  if (shape.share.ranks == 1) return decoder;
  auto exchange =
      PeerExchange::create(shape, state.limits().rows_max, state.device(StepState::last_token),
                           decoder->logits_.get<float>(), stream);
  if (!exchange) return exchange.error();
  decoder->exchange_ = std::move(*exchange);
  return decoder;
}

Result<void> Decoder::allocate() {
  const StepLimits& limits = state_.limits();
  const int rows = Linear::padded_rows(limits.rows_max);
  const int logit_rows = Linear::padded_rows(limits.logit_rows_max);
  kv_bytes_ = shape_.layers * kv_layer_bytes();
  Allocations allocations;
  allocations.zeroed(hidden_, bytes_of(rows, shape_.width));
  allocations.zeroed(normed_, bytes_of(std::max(rows, logit_rows), shape_.width));
  allocations.zeroed(qkv_, bytes_of(rows, shape_.qkv_width()));
  allocations.zeroed(mixed_, bytes_of(rows, shape_.query_width()));
  allocations.zeroed(gate_up_, bytes_of(rows, 2 * shape_.feed_forward_width));
  allocations.zeroed(gated_, bytes_of(rows, shape_.feed_forward_width));
  if (e4m3()) {
    const int widest = std::max({shape_.width, shape_.query_width(), shape_.feed_forward_width});
    allocations.zeroed(quantized_, static_cast<std::size_t>(rows) * widest);
    allocations.zeroed(row_scales_, static_cast<std::size_t>(rows) * sizeof(float));
    allocations.zeroed(product_, bytes_of(rows, shape_.width));
  }
  if (weights_->layers().front().qkv.integer()) {
    std::int64_t widest = 0;
    for (const LinearCall& call : {qkv_call(0, rows), attention_out_call(0, rows),
                                   gate_up_call(0, rows), down_call(0, rows)}) {
      widest = std::max(widest, std::int64_t{slice_rows(call)} * call.k);
    }
    allocations.zeroed(widened_, bytes_of(widest, 1));
  }
  allocations.zeroed(logits_, bytes_of(logit_rows, 2 * shape_.vocabulary));
  allocations.device(angles_, static_cast<std::size_t>(shape_.context_max) * 2 *
                                  shape_.inverse_frequencies.size() * sizeof(float));
  allocations.zeroed(pages_, static_cast<std::size_t>(kv_bytes_));
  return allocations.result();
}

Result<void> Decoder::upload_angles() {
  std::vector<float> angles;
  for (int position = 0; position < shape_.context_max; ++position) {
    for (const double frequency : shape_.inverse_frequencies) {
      angles.push_back(static_cast<float>(shape_.rope_gain * std::cos(position * frequency)));
      angles.push_back(static_cast<float>(shape_.rope_gain * std::sin(position * frequency)));
    }
  }
  FirstError errors;
  errors.note(cudaMemcpy(angles_.get(), angles.data(), angles.size() * sizeof(float),
                         cudaMemcpyHostToDevice),
              "uploading angles");
  return errors.result();
}

// Of keys, or of values, in a layer.
std::int64_t Decoder::kv_lines() const {
  return std::int64_t{options_.kv_blocks} * kernels::kPageTokens * shape_.kv_heads;
}

// One head of a token, with its scale.
std::int64_t Decoder::kv_line_bytes() const {
  if (!options_.kv_e4m3) return std::int64_t{shape_.head_width} * kElementBytes;
  return shape_.head_width + std::int64_t{sizeof(float)};
}

std::int64_t Decoder::kv_layer_bytes() const {
  if (!shape_.latent.used()) return 2 * kv_lines() * kv_line_bytes();
  return std::int64_t{options_.kv_blocks} * kernels::kPageTokens * shape_.kv_token_width() *
         kElementBytes;
}

KvPages Decoder::pages_of(int layer) const {
  char* const begin = pages_.get<char>() + layer * kv_layer_bytes();
  const std::int64_t bytes =
      kv_lines() * shape_.head_width * (options_.kv_e4m3 ? 1 : kElementBytes);
  KvPages pages = {begin, begin + bytes};
  if (!options_.kv_e4m3) return pages;
  pages.key_scales = reinterpret_cast<float*>(begin + 2 * bytes);
  pages.value_scales = pages.key_scales + kv_lines();
  return pages;
}

float Decoder::score_scale() const {
  return 1.0f / std::sqrt(static_cast<float>(shape_.head_width));
}

// Few decodes make their own queries and keys while they attend, which saves a kernel; for many a
// separate pass is cheaper.
bool Decoder::decodes_rope_themselves(const StepRows& rows) const {
  constexpr int kFewDecodes = 16;
  return rows.decodes <= kFewDecodes;
}

void Decoder::rope_rows(int index, const StepRows& rows) {
  const LayerWeights& layer = weights_->layers()[index];
  const KvPages pages = pages_of(index);
  const std::int64_t skip = decodes_rope_themselves(rows) ? rows.decodes : 0;
  const kernels::RopeAppend rope = {qkv_.get<char>() + skip * shape_.qkv_width() * kElementBytes,
                                    layer.qkv_bias,
                                    layer.q_norm,
                                    layer.k_norm,
                                    angles_.get<float>(),
                                    state_.device(StepState::positions) + skip,
                                    state_.device(StepState::row_sequence) + skip,
                                    state_.device(StepState::page_table),
                                    pages.keys,
                                    pages.values,
                                    static_cast<int>(rows.all() - skip),
                                    state_.limits().pages_max,
                                    shape_.query_heads,
                                    shape_.kv_heads,
                                    shape_.head_width,
                                    shape_.head_width,
                                    0,
                                    shape_.norm_epsilon,
                                    pages.key_scales,
                                    pages.value_scales};
  errors_.note(spillway_rope_append(&rope, stream_), "rope");
}

// The chunks' rows come after those of the decodes.
void Decoder::attend_chunks(int index, const StepRows& rows) {
  const std::int64_t skip = rows.decodes;
  const KvPages pages = pages_of(index);
  const kernels::PrefillAttention prefill = {
      mixed_.get<char>() + skip * shape_.query_width() * kElementBytes,
      qkv_.get<char>() + skip * shape_.qkv_width() * kElementBytes,
      shape_.qkv_width(),
      pages.keys,
      pages.values,
      state_.device(StepState::page_table),
      state_.device(StepState::chunk_sequence),
      state_.device(StepState::chunk_start),
      state_.device(StepState::chunk_position),
      state_.limits().pages_max,
      rows.chunks,
      rows.chunk_rows_max,
      shape_.query_heads,
      shape_.kv_heads,
      shape_.head_width,
      score_scale(),
      pages.key_scales,
      pages.value_scales};
  errors_.note(spillway_prefill_attention(&prefill, stream_), "prefill attention");
}

void Decoder::attend_decodes(int index, const StepRows& rows) {
  const LayerWeights& layer = weights_->layers()[index];
  const KvPages pages = pages_of(index);
  const kernels::DecodeAttention decode = {
      mixed_.get(),
      qkv_.get(),
      shape_.qkv_width(),
      pages.keys,
      pages.values,
      state_.device(StepState::page_table),
      state_.device(StepState::positions),
      decodes_rope_themselves(rows) ? angles_.get<float>() : nullptr,
      layer.qkv_bias,
      layer.q_norm,
      layer.k_norm,
      state_.limits().pages_max,
      rows.decodes,
      shape_.query_heads,
      shape_.kv_heads,
      shape_.head_width,
      decode_splits(rows.decodes, shape_.kv_heads),
      score_scale(),
      shape_.norm_epsilon,
      rows.chunks > 0 ? 1 : 0,
      pages.key_scales,
      pages.value_scales};
  errors_.note(spillway_decode_attention(&decode, stream_), "decode attention");
}

void Decoder::attend_latent(int index, const StepRows& rows) {
  LatentLayer::Call call;
  call.mixed = mixed_.get();
  call.projection = qkv_.get();
  call.pages = pages_of(index).keys;
  call.angles = angles_.get<float>();
  call.few = is_skinny(rows.all());
  latent_->attend(weights_->layers()[index], call, rows, errors_);
}

void Decoder::attend(int index, const StepRows& rows) {
  if (latent_) return attend_latent(index, rows);
  rope_rows(index, rows);
  if (rows.chunks > 0) attend_chunks(index, rows);
  if (rows.decodes > 0) attend_decodes(index, rows);
}

void Decoder::attention(int index, const StepRows& rows) {
  const LayerWeights& layer = weights_->layers()[index];
  const int all = rows.all();
  if (is_skinny(all)) {
    skinny(qkv_.get(), hidden_.get(), layer.qkv, layer.attention_norm, all, shape_.qkv_width(),
           shape_.width, kernels::kStoreBf16);
    attend(index, rows);
    add_skinny(mixed_.get(), layer.attention_out, all, shape_.query_width());
    return;
  }
  norm(layer.attention_norm, all, nullptr, e4m3());
  linear(qkv_call(index, all), layer.qkv);
  attend(index, rows);
  if (e4m3()) quantize(mixed_, shape_.query_width(), all);
  linear(attention_out_call(index, all), layer.attention_out);
  leave_sum_to_norm(layer.attention_out, all);
}

void Decoder::mix_experts(int index, int rows) {
  const LayerWeights& layer = weights_->layers()[index];
  ExpertLayer::Call call;
  call.hidden = hidden_.get();
  call.rows = rows;
  if (is_skinny(rows)) {
    skinny(experts_->logits(), hidden_.get(), layer.router, layer.feed_forward_norm, rows,
           shape_.experts.count, shape_.width, kernels::kStoreFloat);
  } else {
    norm(layer.feed_forward_norm, rows, nullptr, false);
    linear(router_call(index, rows), layer.router);
    call.normed = normed_.get();
  }
  experts_->answer(layer, call, errors_);
}

void Decoder::feed_forward(int index, const StepRows& rows) {
  if (shape_.has_experts(index)) return mix_experts(index, rows.all());
  const LayerWeights& layer = weights_->layers()[index];
  const int all = rows.all();
  if (is_skinny(all)) {
    skinny(gated_.get(), hidden_.get(), layer.gate_up, layer.feed_forward_norm, all,
           shape_.feed_forward_width, shape_.width, kernels::kSiluMul);
    add_skinny(gated_.get(), layer.down, all, shape_.feed_forward_width);
    return;
  }
  norm(layer.feed_forward_norm, all, nullptr, e4m3());
  linear(gate_up_call(index, all), layer.gate_up);
  gate(index, all);
  linear(down_call(index, all), layer.down);
  leave_sum_to_norm(layer.down, all);
}

Result<void> Decoder::enqueue(const StepRows& rows) {
  errors_ = {};
  lacking_ = nullptr;
  lacks_ranks_ = false;
  if (exchange_) exchange_->begin_pass();
  const kernels::Embed embed = {hidden_.get(),
                                weights_->embedding(),
                                state_.device(StepState::ids),
                                state_.device(StepState::last_token),
                                rows.all(),
                                shape_.width};
  errors_.note(spillway_embed(&embed, stream_), "embedding");
  for (int i = 0; i < shape_.layers; ++i) {
    attention(i, rows);
    feed_forward(i, rows);
  }
  head(rows);
  if (exchange_) errors_.note(exchange_->meet(), "meeting other GPUs");
  return errors_.result();
}

// Products of zeros are faster than real ones.
void Decoder::fill_activations(int rows) {
  const auto fill = [&](const DeviceMemory& to, std::int64_t width) {
    const kernels::FillRandom args = {to.get(), rows * width, 1, 0.0f, 1.0f};
    errors_.note(spillway_fill_random(&args, stream_), "filling activations");
  };
  fill(hidden_, shape_.width);
  fill(normed_, shape_.width);
  fill(mixed_, shape_.query_width());
  fill(gated_, shape_.feed_forward_width);
  if (e4m3()) quantize(gated_, shape_.feed_forward_width, rows);
}

Result<void> Decoder::tune(int rows) {
  if (is_skinny(rows)) return {};
  errors_ = {};
  fill_activations(rows);
  if (!errors_.none()) return errors_.result();
  // Products of few rows read their weights once, from memory: they are timed over more layers than
  // the L2 holds.
  const int layers = std::min(shape_.layers, rows <= 256 ? 12 : rows <= 1024 ? 6 : 2);
  const LayerWeights& kind = weights_->layers().front();
  const auto over = [&](auto call_of, const Matrix& weight, int begin, int end) -> Result<void> {
    std::vector<LinearCall> calls;
    for (int i = begin; i < std::min(end, begin + layers); ++i) {
      calls.push_back((this->*call_of)(i, rows));
    }
    return calls.empty() ? Result<void>() : tune_product(std::move(calls), weight);
  };
  const int all = shape_.layers;
  const int dense = shape_.experts.used() ? shape_.experts.dense_layers : all;
  if (auto r = over(&Decoder::qkv_call, kind.qkv, 0, all); !r) return r;
  if (auto r = over(&Decoder::attention_out_call, kind.attention_out, 0, all); !r) return r;
  if (auto r = over(&Decoder::gate_up_call, kind.gate_up, 0, dense); !r) return r;
  if (auto r = over(&Decoder::down_call, kind.down, 0, dense); !r) return r;
  if (auto r = over(&Decoder::router_call, {}, dense, experts_ ? all : dense); !r) return r;
  if (rows > state_.limits().logit_rows_max) return {};
  return linear_->tune(std::vector<LinearCall>(3, head_call(rows)));
}

}  // namespace spillway::local::cuda
