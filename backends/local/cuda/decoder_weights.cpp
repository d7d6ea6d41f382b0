#include "backends/local/cuda/decoder_weights.h"

#include <algorithm>
#include <cmath>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kBf16Bytes = 2;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct MatrixBytes {
  std::int64_t weights = 0;
  std::int64_t scales = 0;
};

MatrixBytes bytes_of(const RoomShape& room, kernels::WeightFormat format) {
  constexpr std::int64_t kUnit = 128;  // Columns of four bits that lie together.
  const std::int64_t units = room.rows * ((room.columns + kUnit - 1) / kUnit);
  switch (format) {
    case kernels::kBf16: return {room.rows * room.columns * kBf16Bytes, 0};
    case kernels::kE4m3:
    case kernels::kInt8: return {room.rows * room.columns, room.rows * 4};
    default: break;
  }
  const std::int64_t group_bytes = kernels::has_zeros(format) ? 4 : 2;
  return {units * kUnit / 2, units * (kUnit / kernels::group_columns(format)) * group_bytes};
}

}  // namespace

kernels::WeightFormat format_of(Precision precision) {
  switch (precision) {
    case Precision::fp8: return kernels::kE4m3;
    case Precision::int8: return kernels::kInt8;
    case Precision::int4: return kernels::kInt4;
    default: return kernels::kBf16;
  }
}

kernels::WeightFormat format_of(const loader::FourBitGroups& groups) {
  if (!groups.zeros) return kernels::kInt4;
  return groups.columns == 32   ? kernels::kInt4Zeros32
         : groups.columns == 64 ? kernels::kInt4Zeros64
                                : kernels::kInt4Zeros;
}

void pack_rows(const WeightRoom& to, std::int64_t first_row, int rows, const void* from,
               CUstream_st* stream, FirstError& errors) {
  const std::int64_t before = first_row * to.columns;
  if (to.format == kernels::kBf16) {
    const auto bytes = static_cast<std::size_t>(std::int64_t{rows} * to.columns * kBf16Bytes);
    errors.note(cudaMemcpyAsync(static_cast<char*>(to.data) + before * kBf16Bytes, from, bytes,
                                cudaMemcpyDeviceToDevice, stream),
                "copying weights");
  } else if (to.format == kernels::kE4m3) {
    const kernels::QuantizeRows args = {static_cast<char*>(to.data) + before,
                                        static_cast<float*>(to.scales) + first_row,
                                        from,
                                        rows,
                                        to.columns,
                                        0};
    errors.note(spillway_quantize_rows(&args, stream), "packing weights");
  } else {
    const kernels::PackWeights args = {to.data,
                                       to.scales,
                                       from,
                                       rows,
                                       to.columns,
                                       to.format,
                                       static_cast<int>(first_row),
                                       static_cast<int>(to.elements / to.columns)};
    errors.note(spillway_pack_weights(&args, stream), "packing weights");
  }
}

const WeightRoom* DecoderWeights::find(std::string_view name) const {
  const auto named = [&](const WeightRoom& room) { return room.name == name; };
  const auto found = std::find_if(rooms_.begin(), rooms_.end(), named);
  return found == rooms_.end() ? nullptr : &*found;
}

void* DecoderWeights::at(const std::string& name) const {
  const WeightRoom* room = find(name);
  return room == nullptr ? nullptr : room->data;
}

Matrix DecoderWeights::matrix_at(const std::string& name) const {
  const WeightRoom* room = find(name);
  return room == nullptr ? Matrix() : Matrix{room->data, room->scales, room->format};
}

// Points to the rooms by their names; those that the shape does not have stay null.
void DecoderWeights::furnish(const DecoderShape& shape) {
  embedding_ = at("embedding");
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    LayerWeights layer;
    layer.attention_norm = at(prefix + "attention_norm");
    layer.qkv = matrix_at(prefix + "qkv");
    layer.qkv_bias = at(prefix + "qkv_bias");
    layer.q_norm = at(prefix + "q_norm");
    layer.k_norm = at(prefix + "k_norm");
    layer.attention_out = matrix_at(prefix + "attention_out");
    layer.post_attention_norm = at(prefix + "post_attention_norm");
    layer.feed_forward_norm = at(prefix + "feed_forward_norm");
    layer.gate_up = matrix_at(prefix + "gate_up");
    layer.down = matrix_at(prefix + "down");
    layer.post_feed_forward_norm = at(prefix + "post_feed_forward_norm");
    layer.latent_norm = at(prefix + "latent_norm");
    layer.key_up = at(prefix + "key_up");
    layer.value_up = at(prefix + "value_up");
    layer.router = matrix_at(prefix + "router");
    layer.router_bias = at(prefix + "router_bias");
    layer.expert_gate_up = matrix_at(prefix + "expert_gate_up");
    layer.expert_down = matrix_at(prefix + "expert_down");
    layers_.push_back(layer);
  }
  last_norm_ = at("last_norm");
  head_ = at("head");
  if (!shape.head_is_embedding) return;
  const std::int64_t skipped = std::int64_t{shape.head_rows().first} * shape.width;
  head_ = static_cast<char*>(embedding_) + skipped * kBf16Bytes;
}

// Scales lie behind their matrix.
Result<std::unique_ptr<DecoderWeights>> DecoderWeights::allocate(const DecoderShape& shape,
                                                                 kernels::WeightFormat layers) {
  std::unique_ptr<DecoderWeights> weights(new DecoderWeights);
  std::vector<std::int64_t> offsets;
  for (const RoomShape& room : rooms_of(shape)) {
    const kernels::WeightFormat format = is_matrix_of_layer(room) ? layers : kernels::kBf16;
    weights->rooms_.push_back(
        {room.name, nullptr, room.rows * room.columns, room.columns, nullptr, format});
    const MatrixBytes bytes = bytes_of(room, format);
    offsets.push_back(weights->bytes_);
    weights->bytes_ += aligned(bytes.weights);
    offsets.push_back(bytes.scales > 0 ? weights->bytes_ : -1);
    weights->bytes_ += aligned(bytes.scales);
  }
  auto memory = allocate_device(static_cast<std::size_t>(weights->bytes_));
  if (!memory) return memory.error();
  weights->memory_ = std::move(*memory);
  char* const data = weights->memory_.get<char>();
  auto offset = offsets.begin();
  for (WeightRoom& room : weights->rooms_) {
    room.data = data + *offset++;
    const std::int64_t scales = *offset++;
    if (scales >= 0) room.scales = data + scales;
  }
  weights->furnish(shape);
  return weights;
}

Result<std::unique_ptr<DecoderWeights>> DecoderWeights::packed(const DecoderShape& shape,
                                                               Precision precision) const {
  auto weights = allocate(shape, format_of(precision));
  if (!weights) return weights;
  FirstError errors;
  for (const WeightRoom& to : (*weights)->rooms_) {
    const int rows = static_cast<int>(to.elements / to.columns);
    pack_rows(to, 0, rows, find(to.name)->data, nullptr, errors);
  }
  errors.note(cudaDeviceSynchronize(), "packing weights");
  if (!errors.none()) return errors.result().error();
  return weights;
}

Result<void> DecoderWeights::fill_random(std::uint64_t seed) {
  FirstError errors;
  for (const WeightRoom& room : rooms_) {
    const bool is_norm = room.name.ends_with("norm");
    const bool is_bias = room.name.ends_with("bias");
    kernels::FillRandom fill = {room.data, room.elements, seed++, is_norm ? 1.0f : 0.0f, 0.1f};
    if (!is_norm && !is_bias) fill.deviation = 1.0f / std::sqrt(static_cast<float>(room.columns));
    errors.note(spillway_fill_random(&fill, nullptr), "filling weights");
  }
  errors.note(cudaDeviceSynchronize(), "filling weights");
  return errors.result();
}

}  // namespace spillway::local::cuda
