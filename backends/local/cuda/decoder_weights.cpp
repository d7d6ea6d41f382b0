#include "backends/local/cuda/decoder_weights.h"

#include "backends/local/kernels/kernels.h"

#include <cmath>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kAlignment = 256;

}  // namespace

std::vector<double> plain_frequencies(int head_width, double base) {
  std::vector<double> frequencies(static_cast<std::size_t>(head_width / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / head_width);
  }
  return frequencies;
}

// With no memory yet, rooms hold offsets: lay_out runs twice, first to count, then to place.
void* DecoderWeights::room(std::string name, std::int64_t rows, int columns) {
  const std::int64_t elements = rows * columns;
  void* data = memory_.get<char>() == nullptr ? nullptr : memory_.get<char>() + bytes_;
  bytes_ += (elements * 2 + kAlignment - 1) / kAlignment * kAlignment;
  rooms_.push_back({std::move(name), data, elements, columns});
  return data;
}

void DecoderWeights::lay_out(const DecoderShape& shape) {
  rooms_.clear();
  layers_.clear();
  bytes_ = 0;
  embedding_ = room("embedding", shape.vocabulary, shape.width);
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    LayerWeights layer;
    layer.attention_norm = room(prefix + "attention_norm", 1, shape.width);
    layer.qkv = room(prefix + "qkv", shape.qkv_width(), shape.width);
    if (shape.qkv_bias) layer.qkv_bias = room(prefix + "qkv_bias", 1, shape.qkv_width());
    if (shape.head_norms) {
      layer.q_norm = room(prefix + "q_norm", 1, shape.head_width);
      layer.k_norm = room(prefix + "k_norm", 1, shape.head_width);
    }
    layer.attention_out = room(prefix + "attention_out", shape.width, shape.query_width());
    layer.feed_forward_norm = room(prefix + "feed_forward_norm", 1, shape.width);
    layer.gate_up = room(prefix + "gate_up", 2 * shape.feed_forward_width, shape.width);
    layer.down = room(prefix + "down", shape.width, shape.feed_forward_width);
    layers_.push_back(layer);
  }
  last_norm_ = room("last_norm", 1, shape.width);
  head_ = shape.head_is_embedding ? embedding_ : room("head", shape.vocabulary, shape.width);
}

Result<std::unique_ptr<DecoderWeights>> DecoderWeights::allocate(const DecoderShape& shape) {
  std::unique_ptr<DecoderWeights> weights(new DecoderWeights);
  weights->lay_out(shape);
  auto memory = allocate_device(static_cast<std::size_t>(weights->bytes_));
  if (!memory) return memory.error();
  weights->memory_ = std::move(*memory);
  weights->lay_out(shape);
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
