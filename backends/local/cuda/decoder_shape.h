// What a decoder of the Llama, Qwen2, Qwen3 (with experts or without), Gemma or DeepSeek kind looks
// like to the GPU: a plain value, and pure functions of it. Needs no CUDA.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local::cuda {

// Which of the GPUs that compute each layer together.
struct Share {
  int rank = 0;
  int ranks = 1;
};

// Consecutive heads, rows or columns.
struct Extent {
  int first = 0;
  int count = 0;
};

struct DecoderShape {
  int layers = 0;
  int width = 0;  // Of the residual stream.
  int feed_forward_width = 0;
  int query_heads = 0;
  int kv_heads = 0;
  int head_width = 0;  // With latent rows, of a head's value.
  int vocabulary = 0;
  int context_max = 0;
  float norm_epsilon = 1e-6f;
  bool qkv_bias = false;           // Qwen2
  bool head_norms = false;         // Qwen3: an RMS norm of every q and k head
  bool head_is_embedding = false;  // The output matrix is the embedding table.
  // Angle of pair i at position p is p · inverse_frequencies[i]; cosines and sines are multiplied
  // by `rope_gain` (yarn). Pairs are (i, i + size), half the rotated width apart.
  std::vector<double> inverse_frequencies;
  double rope_gain = 1.0;
  double score_width = 0.0;  // Scores are divided by its root; 0: by that of a head's width.
  Windows windows;
  Gemma gemma;
  LatentAttention latent;  // Pairs are (2i, 2i + 1) then, of the rotated part.
  Experts experts;
  Share share;  // Heads and feed forward are its own alone, and so are rows of the head.

  int query_width() const { return query_heads * head_width; }  // Of what attention yields, too.
  int qkv_width() const;
  int kv_token_width() const;  // Numbers that the KV cache keeps of a token in a layer.
  bool has_experts(int layer) const { return experts.used() && layer >= experts.dense_layers; }
  Extent head_rows() const;  // Of the vocabulary, of which this share makes logits.
};

// Of a model file, for sequences of at most `context_max` tokens. invalid_request: the kernels do
// not take such a model; the message names what they would take.
Result<DecoderShape> shape_of(const ArchSpec& spec, int context_max);

// The share's part of `total` things that are dealt in whole `unit`s, as evenly as that goes; what
// is no whole unit is the last one's.
Extent dealt(int total, int unit, Share share);

// Rows and columns are dealt in such pieces where they are many: what the kernels take at once, and
// where they like memory to begin.
inline constexpr int kDealtUnit = 64;

// Unscaled rotary frequencies of a head: base^(-2i / head_width).
std::vector<double> plain_frequencies(int head_width, double base);

// A tensor that such a decoder reads: "embedding", "layers.3.gate_up", "last_norm", "head" …
struct RoomShape {
  std::string name;
  std::int64_t rows = 0;
  int columns = 0;
};

// Whether it may be kept in fewer bits: not what chooses experts, nor the small matrices of each
// head between queries, values and latent rows.
bool is_matrix_of_layer(const RoomShape& room);

// All of them, in the order in which they lie in memory.
std::vector<RoomShape> rooms_of(const DecoderShape& shape);

}  // namespace spillway::local::cuda
