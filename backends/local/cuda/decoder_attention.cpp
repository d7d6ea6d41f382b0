// The attention of the forward pass: where its keys and values lie, and which kernels take which
// rows.
#include "backends/local/cuda/decoder.h"
#include "backends/local/kernels/attention_kernels.h"

#include <cmath>

namespace spillway::local::cuda {

namespace {

constexpr int kElementBytes = 2;  // bf16
constexpr int kSplitsMax = 16;

}  // namespace

int decode_splits(int sequences, int kv_heads) {
  constexpr int kBlocksWanted = 264;  // Of decode attention: two a multiprocessor.
  int splits = 1;
  while (splits < kSplitsMax && 2 * splits * sequences * kv_heads <= kBlocksWanted) splits *= 2;
  return splits;
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
  const double width = shape_.score_width > 0.0 ? shape_.score_width : shape_.head_width;
  return static_cast<float>(1.0 / std::sqrt(width));
}

const float* Decoder::angles_of(int layer) const {
  const bool own = shape_.windows.holds(layer) && !shape_.windows.inverse_frequencies.empty();
  return (own ? windowed_angles_ : angles_).get<float>();
}

int Decoder::window_of(int layer) const {
  return shape_.windows.holds(layer) ? shape_.windows.width : 0;
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
                                    angles_of(index),
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
      pages.value_scales,
      window_of(index),
      static_cast<float>(shape_.gemma.score_cap)};
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
      decodes_rope_themselves(rows) ? angles_of(index) : nullptr,
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
      pages.value_scales,
      window_of(index),
      static_cast<float>(shape_.gemma.score_cap)};
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
    add_skinny(mixed_.get(), layer.attention_out, layer.post_attention_norm, all,
               shape_.query_width());
    return;
  }
  norm(layer.attention_norm, all, nullptr, e4m3());
  linear(qkv_call(index, all), layer.qkv);
  attend(index, rows);
  if (e4m3()) quantize(mixed_, shape_.query_width(), all);
  linear(attention_out_call(index, all), layer.attention_out);
  leave_sum(layer.attention_out, layer.post_attention_norm, all);
}

}  // namespace spillway::local::cuda
