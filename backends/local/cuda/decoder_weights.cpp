#include "backends/local/cuda/decoder_weights.h"

#include "backends/local/kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kAlignment = 256;

std::int64_t bytes_of(const RoomShape& room) {
  return (room.rows * room.columns * 2 + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

const WeightRoom* DecoderWeights::find(std::string_view name) const {
  const auto named = [&](const WeightRoom& room) { return room.name == name; };
  const auto found = std::find_if(rooms_.begin(), rooms_.end(), named);
  return found == rooms_.end() ? nullptr : &*found;
}

void* DecoderWeights::at(const std::string& name) const {
  const WeightRoom* room = find(name);
  return room == nullptr ? nullptr : room->data;
}

// Points to the rooms by their names; those that the shape does not have stay null.
void DecoderWeights::furnish(const DecoderShape& shape) {
  embedding_ = at("embedding");
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    LayerWeights layer;
    layer.attention_norm = at(prefix + "attention_norm");
    layer.qkv = at(prefix + "qkv");
    layer.qkv_bias = at(prefix + "qkv_bias");
    layer.q_norm = at(prefix + "q_norm");
    layer.k_norm = at(prefix + "k_norm");
    layer.attention_out = at(prefix + "attention_out");
    layer.feed_forward_norm = at(prefix + "feed_forward_norm");
    layer.gate_up = at(prefix + "gate_up");
    layer.down = at(prefix + "down");
    layers_.push_back(layer);
  }
  last_norm_ = at("last_norm");
  head_ = shape.head_is_embedding ? embedding_ : at("head");
}

Result<std::unique_ptr<DecoderWeights>> DecoderWeights::allocate(const DecoderShape& shape) {
  std::unique_ptr<DecoderWeights> weights(new DecoderWeights);
  const auto rooms = rooms_of(shape);
  for (const RoomShape& room : rooms) weights->bytes_ += bytes_of(room);
  auto memory = allocate_device(static_cast<std::size_t>(weights->bytes_));
  if (!memory) return memory.error();
  weights->memory_ = std::move(*memory);
  char* data = weights->memory_.get<char>();
  for (const RoomShape& room : rooms) {
    weights->rooms_.push_back({room.name, data, room.rows * room.columns, room.columns});
    data += bytes_of(room);
  }
  weights->furnish(shape);
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
