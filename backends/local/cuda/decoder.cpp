#include "backends/local/cuda/decoder.h"

#include <algorithm>
#include <cmath>
#include <cuda_runtime_api.h>
#include <vector>

namespace spillway::local::cuda {

namespace {

constexpr int kElementBytes = 2;  // bf16

std::size_t bytes_of(std::int64_t rows, std::int64_t width) {
  return static_cast<std::size_t>(rows * width * kElementBytes);
}

}  // namespace

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
  if (auto result =
          decoder->upload_angles(shape.inverse_frequencies, shape.rope_gain, decoder->angles_);
      !result) {
    return result.error();
  }
  const auto& windowed = shape.windows.inverse_frequencies;
  if (auto result = decoder->upload_angles(windowed, 1.0, decoder->windowed_angles_); !result) {
    return result.error();
  }
  if (shape.latent.used()) {
    auto latent = LatentLayer::create(shape, state, stream);
    if (!latent) return latent.error();
    decoder->latent_ = std::move(*latent);
  }
  if (shape.experts.used()) {
    const auto format = decoder->weights_->layers().back().expert_gate_up.format;
    auto experts = ExpertLayer::create(shape, format, state, stream);
    if (!experts) return experts.error();
    decoder->experts_ = std::move(*experts);
  }
  if (shape.share.ranks == 1) return decoder;
  if (auto made = decoder->make_exchange(); !made) return made.error();
  return decoder;
}

Result<void> Decoder::make_exchange() {
  const PeerExchange::Outlets outlets = {state_.device(StepState::last_token), logits_.get<float>(),
                                         normed_.get(), quantized_.get(), row_scales_.get<float>()};
  const PeerExchange::Limits limits = {state_.limits().rows_max, options_.parted_numbers_min};
  auto exchange = PeerExchange::create(shape_, limits, outlets, stream_);
  if (!exchange) return exchange.error();
  exchange_ = std::move(*exchange);
  return {};
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
  if (e4m3() || shape_.gemma.used) allocations.zeroed(product_, bytes_of(rows, shape_.width));
  if (e4m3()) {
    const int widest = std::max({shape_.width, shape_.query_width(), shape_.feed_forward_width});
    allocations.zeroed(quantized_, static_cast<std::size_t>(rows) * widest);
    allocations.zeroed(row_scales_, static_cast<std::size_t>(rows) * sizeof(float));
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
  allocations.zeroed(pages_, static_cast<std::size_t>(kv_bytes_));
  return allocations.result();
}

// Of each position, for each of the frequencies.
Result<void> Decoder::upload_angles(const std::vector<double>& frequencies, double gain,
                                    DeviceMemory& to) {
  std::vector<float> angles;
  for (int position = 0; position < shape_.context_max; ++position) {
    for (const double frequency : frequencies) {
      angles.push_back(static_cast<float>(gain * std::cos(position * frequency)));
      angles.push_back(static_cast<float>(gain * std::sin(position * frequency)));
    }
  }
  const std::size_t bytes = angles.size() * sizeof(float);
  Allocations allocations;
  allocations.device(to, bytes);
  if (auto allocated = allocations.result(); !allocated) return allocated;
  FirstError errors;
  errors.note(cudaMemcpy(to.get(), angles.data(), bytes, cudaMemcpyHostToDevice),
              "uploading angles");
  return errors.result();
}

void Decoder::mix_experts(int index, int rows) {
  const LayerWeights& layer = weights_->layers()[index];
  const bool few = is_skinny(rows);
  ExpertLayer::Call call;
  call.hidden = hidden_.get();
  call.rows = rows;
  if (few) {
    skinny(experts_->logits(), hidden_.get(), layer.router, layer.feed_forward_norm, rows,
           shape_.experts.count, shape_.width, kernels::kStoreFloat);
  } else {
    norm(layer.feed_forward_norm, rows, nullptr, false);
    linear(router_call(index, rows), layer.router);
    call.normed = normed_.get();
  }
  if (exchange_ == nullptr) {
    call.out = hidden_.get();
    return experts_->answer(layer, call, errors_);
  }
  call.out = few ? exchange_->few_product() : exchange_->product();
  call.epilogue = few ? kernels::kStoreFloat : kernels::kStoreBf16;
  experts_->answer(layer, call, errors_);
  if (few) errors_.note(exchange_->sum_few(hidden_.get(), rows), "sum over GPUs");
  lacks_ranks_ = !few;
}

void Decoder::feed_forward(int index, const StepRows& rows) {
  if (shape_.has_experts(index)) return mix_experts(index, rows.all());
  const LayerWeights& layer = weights_->layers()[index];
  const int all = rows.all();
  if (is_skinny(all)) {
    skinny(gated_.get(), hidden_.get(), layer.gate_up, layer.feed_forward_norm, all,
           shape_.feed_forward_width, shape_.width,
           shape_.gemma.used ? kernels::kGeluMul : kernels::kSiluMul);
    add_skinny(gated_.get(), layer.down, layer.post_feed_forward_norm, all,
               shape_.feed_forward_width);
    return;
  }
  norm(layer.feed_forward_norm, all, nullptr, e4m3());
  linear(gate_up_call(index, all), layer.gate_up);
  gate(index, all);
  linear(down_call(index, all), layer.down);
  leave_sum(layer.down, layer.post_feed_forward_norm, all);
}

Result<void> Decoder::enqueue(const StepRows& rows) {
  errors_ = {};
  lacking_ = nullptr;
  lacks_ranks_ = false;
  if (exchange_) exchange_->begin_pass(rows.all());
  const kernels::Embed embed = {hidden_.get(),
                                weights_->embedding(),
                                state_.device(StepState::ids),
                                state_.device(StepState::last_token),
                                rows.all(),
                                shape_.width,
                                static_cast<float>(shape_.gemma.embedding_gain)};
  errors_.note(spillway_embed(&embed, stream_), "embedding");
  for (int i = 0; i < shape_.layers; ++i) {
    attention(i, rows);
    feed_forward(i, rows);
  }
  head(rows);
  if (exchange_) errors_.note(exchange_->meet(), "meeting other GPUs");
  if (shape_.share.rank == 0) cap_logits(rows.logits);
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
  // Ranks must choose the same experts: a product that each found for itself might round apart.
  const int routers = exchange_ ? dense : all;
  if (auto r = over(&Decoder::router_call, {}, dense, routers); !r) return r;
  if (rows > state_.limits().logit_rows_max) return {};
  return linear_->tune(std::vector<LinearCall>(3, head_call(rows)));
}

}  // namespace spillway::local::cuda
