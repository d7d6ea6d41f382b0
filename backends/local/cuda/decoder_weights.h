// The weights of a decoder on the device, and the names by which a loader finds room for them.
//
// Filled once with bf16, before the first step, and turned into E4M3 if that is wanted; read-only
// afterwards.
#pragma once

#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::cuda {

// bf16, or E4M3 with a scale for each row.
struct Matrix {
  const void* data = nullptr;
  const float* scales = nullptr;  // null: bf16
};

struct LayerWeights {
  void* attention_norm = nullptr;  // [width]
  Matrix qkv;                      // [qkv_width, width]: rows of q, k, v
  void* qkv_bias = nullptr;        // [qkv_width] or null
  void* q_norm = nullptr;          // [head_width] or null
  void* k_norm = nullptr;
  Matrix attention_out;               // [width, query_width]
  void* feed_forward_norm = nullptr;  // [width]
  Matrix gate_up;                     // [2 · feed_forward_width, width]: rows of gate, then up
  Matrix down;                        // [width, feed_forward_width]
};

// Room for one tensor of rooms_of(shape) on the device.
struct WeightRoom {
  std::string name;
  void* data = nullptr;
  std::int64_t elements = 0;
  int columns = 0;
  float* scales = nullptr;  // One a row where it holds E4M3; null: bf16.
};

class DecoderWeights {
 public:
  // Takes memory for bf16, undefined at first.
  static Result<std::unique_ptr<DecoderWeights>> allocate(const DecoderShape& shape);

  // The same weights with the layers' matrices as E4M3; embedding, head, norms and biases stay
  // bf16. Takes its own memory and waits for the device. Requires: filled with bf16.
  Result<std::unique_ptr<DecoderWeights>> in_e4m3(const DecoderShape& shape) const;

  const std::vector<WeightRoom>& rooms() const { return rooms_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const void* embedding() const { return embedding_; }  // [vocabulary, width]
  const void* last_norm() const { return last_norm_; }
  const void* head() const { return head_; }  // [head_rows, width], bf16
  std::int64_t bytes() const { return bytes_; }

  // Null if there is no such room.
  const WeightRoom* find(std::string_view name) const;

  // Random weights that keep activations of a plausible size: for benches. Waits for the device.
  Result<void> fill_random(std::uint64_t seed);

 private:
  enum class Layers { bf16, e4m3 };

  DecoderWeights() = default;
  static Result<std::unique_ptr<DecoderWeights>> allocate(const DecoderShape& shape, Layers layers);
  void* at(const std::string& name) const;
  Matrix matrix_at(const std::string& name) const;
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
