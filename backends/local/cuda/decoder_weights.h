// The weights of a decoder on the device, and the names by which a loader finds room for them.
//
// Filled once, before the first step: with bf16, of which the layers' matrices may be packed into
// fewer bits row by row or all at once, or with a file's own four bits. Read-only afterwards.
#pragma once

#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/device.h"
#include "backends/local/kernels/kernels.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/quantize/precision.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::cuda {

// As kernels::WeightFormat says of its format.
struct Matrix {
  const void* data = nullptr;
  const void* scales = nullptr;  // null: bf16
  kernels::WeightFormat format = kernels::kBf16;

  bool e4m3() const { return format == kernels::kE4m3; }
  bool integer() const { return format == kernels::kInt8 || kernels::is_int4(format); }
};

kernels::WeightFormat format_of(Precision precision);
kernels::WeightFormat format_of(const loader::FourBitGroups& groups);

struct LayerWeights {
  void* attention_norm = nullptr;  // [width]
  Matrix qkv;                      // [qkv_width, width]: rows of q, k, v
  void* qkv_bias = nullptr;        // [qkv_width] or null
  void* q_norm = nullptr;          // [head_width] or null
  void* k_norm = nullptr;
  Matrix attention_out;                    // [width, query_width]
  void* post_attention_norm = nullptr;     // [width] or null
  void* feed_forward_norm = nullptr;       // [width]
  Matrix gate_up;                          // [2 · feed_forward_width, width]: rows of gate, then up
  Matrix down;                             // [width, feed_forward_width]
  void* post_feed_forward_norm = nullptr;  // [width] or null
  // With latent rows; of each head what turns its query into their terms, and them into its value.
  void* latent_norm = nullptr;  // [latent width]
  void* key_up = nullptr;       // [heads, latent width, key width]
  void* value_up = nullptr;     // [heads, value width, latent width]
  // With experts, instead of gate_up and down; the shared ones behind those chosen.
  Matrix router;                // [experts, width]
  void* router_bias = nullptr;  // [experts] or null
  Matrix expert_gate_up;        // [all experts, 2 · their width, width]
  Matrix expert_down;           // [all experts, width, their width]
};

// Room for one tensor of rooms_of(shape) on the device.
struct WeightRoom {
  std::string name;
  void* data = nullptr;
  std::int64_t elements = 0;
  int columns = 0;
  void* scales = nullptr;  // null: bf16
  kernels::WeightFormat format = kernels::kBf16;
};

// Enqueues on `stream`: rows of bf16 on the device become those of the room from first_row on.
// Notes failures.
void pack_rows(const WeightRoom& to, std::int64_t first_row, int rows, const void* from,
               CUstream_st* stream, FirstError& errors);

class DecoderWeights {
 public:
  // Takes memory, undefined at first, for bf16, and for the layers' matrices in a format.
  static Result<std::unique_ptr<DecoderWeights>> allocate(
      const DecoderShape& shape, kernels::WeightFormat layers = kernels::kBf16);

  // The same weights with the layers' matrices in fp8, int8 or int4; embedding, head, norms and
  // biases stay bf16. Takes its own memory and waits for the device. Requires: filled with bf16.
  Result<std::unique_ptr<DecoderWeights>> packed(const DecoderShape& shape,
                                                 Precision precision) const;

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
  DecoderWeights() = default;
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
