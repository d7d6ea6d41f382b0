// What a dense decoder of the Llama, Qwen2 or Qwen3 kind looks like: a plain value.
#pragma once

#include <vector>

namespace spillway::local::cuda {

struct DecoderShape {
  int layers = 0;
  int width = 0;  // Of the residual stream.
  int feed_forward_width = 0;
  int query_heads = 0;
  int kv_heads = 0;
  int head_width = 0;
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

  int query_width() const { return query_heads * head_width; }
  int qkv_width() const { return (query_heads + 2 * kv_heads) * head_width; }
};

// Unscaled rotary frequencies of a head: base^(-2i / head_width).
std::vector<double> plain_frequencies(int head_width, double base);

}  // namespace spillway::local::cuda
