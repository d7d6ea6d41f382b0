// The weights of a decoder on the device, and the names by which a loader finds room for them.
//
// Filled once, before the first step; read-only afterwards.
#pragma once

#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::cuda {

struct LayerWeights {
  void* attention_norm = nullptr;  // [width]
  void* qkv = nullptr;             // [qkv_width, width]: rows of q, k, v
  void* qkv_bias = nullptr;        // [qkv_width] or null
  void* q_norm = nullptr;          // [head_width] or null
  void* k_norm = nullptr;
  void* attention_out = nullptr;      // [width, query_width]
  void* feed_forward_norm = nullptr;  // [width]
  void* gate_up = nullptr;            // [2 · feed_forward_width, width]: rows of gate, then up
  void* down = nullptr;               // [width, feed_forward_width]
};

// Room for one tensor of rooms_of(shape), bf16, on the device.
struct WeightRoom {
  std::string name;
  void* data = nullptr;
  std::int64_t elements = 0;
  int columns = 0;
};

class DecoderWeights {
 public:
  // Takes memory, undefined at first.
  static Result<std::unique_ptr<DecoderWeights>> allocate(const DecoderShape& shape);

  const std::vector<WeightRoom>& rooms() const { return rooms_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const void* embedding() const { return embedding_; }  // [vocabulary, width]
  const void* last_norm() const { return last_norm_; }
  const void* head() const { return head_; }  // [vocabulary, width]
  std::int64_t bytes() const { return bytes_; }

  // Null if there is no such room.
  const WeightRoom* find(std::string_view name) const;

  // Random weights that keep activations of a plausible size: for benches. Waits for the device.
  Result<void> fill_random(std::uint64_t seed);

 private:
  DecoderWeights() = default;
  void* at(const std::string& name) const;
  void furnish(const DecoderShape& shape);

  DeviceMemory memory_;
  std::vector<WeightRoom> rooms_;
  std::vector<LayerWeights> layers_;
  void* embedding_ = nullptr;
  void* last_norm_ = nullptr;
  void* head_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace spillway::local::cuda
