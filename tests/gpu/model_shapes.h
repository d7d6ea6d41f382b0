// Shapes that people compare, for random weights.
#pragma once

#include "backends/local/cuda/decoder_shape.h"

#include <cmath>
#include <string>

namespace spillway::gpu_test {

// DeepSeek-V2-Lite.
inline local::cuda::DecoderShape v2_lite() {
  local::cuda::DecoderShape shape;
  shape.layers = 27;
  shape.width = 2048;
  shape.feed_forward_width = 10944;
  shape.query_heads = 16;
  shape.kv_heads = 1;
  shape.head_width = 128;
  shape.vocabulary = 102400;
  shape.context_max = 16384;
  shape.latent.width = 512;
  shape.latent.rope_width = 64;
  shape.latent.key_width = 128;
  shape.latent.value_width = 128;
  shape.experts.count = 64;
  shape.experts.chosen = 6;
  shape.experts.shared = 2;
  shape.experts.width = 1408;
  shape.experts.dense_layers = 1;
  shape.inverse_frequencies = local::cuda::plain_frequencies(64, 1e4);
  return shape;
}

// Qwen3-30B-A3B.
inline local::cuda::DecoderShape qwen3_moe() {
  local::cuda::DecoderShape shape;
  shape.layers = 48;
  shape.width = 2048;
  shape.feed_forward_width = 6144;
  shape.query_heads = 32;
  shape.kv_heads = 4;
  shape.head_width = 128;
  shape.vocabulary = 151936;
  shape.context_max = 16384;
  shape.head_norms = true;
  shape.experts.count = 128;
  shape.experts.chosen = 8;
  shape.experts.width = 768;
  shape.experts.normalised = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(128, 1e6);
  return shape;
}

// Gemma 3 of 4 B parameters: of six layers five have a window.
inline local::cuda::DecoderShape gemma3_4b() {
  constexpr int kPeriod = 6;
  local::cuda::DecoderShape shape;
  shape.layers = 34;
  shape.width = 2560;
  shape.feed_forward_width = 10240;
  shape.query_heads = 8;
  shape.kv_heads = 4;
  shape.head_width = 256;
  shape.vocabulary = 262208;
  shape.context_max = 16384;
  shape.head_norms = true;
  shape.head_is_embedding = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(256, 1e6);
  shape.windows.width = 1024;
  shape.windows.inverse_frequencies = local::cuda::plain_frequencies(256, 1e4);
  for (int i = 0; i < shape.layers; ++i) {
    shape.windows.of_layers.push_back(i % kPeriod != kPeriod - 1);
  }
  shape.gemma.used = true;
  shape.gemma.embedding_gain = std::sqrt(2560.0);
  return shape;
}

// qwen3-0.6b, r1-qwen-7b (DeepSeek-R1-Distill-Qwen-7B), ds-v2-lite, qwen3-30b-a3b or gemma3-4b.
inline local::cuda::DecoderShape shape_of(const std::string& model) {
  if (model == "gemma3-4b") return gemma3_4b();
  if (model == "ds-v2-lite") return v2_lite();
  if (model == "qwen3-30b-a3b") return qwen3_moe();
  local::cuda::DecoderShape shape;
  shape.layers = 28;
  shape.head_width = 128;
  shape.context_max = 16384;
  if (model == "r1-qwen-7b") {
    shape.width = 3584;
    shape.feed_forward_width = 18944;
    shape.query_heads = 28;
    shape.kv_heads = 4;
    shape.vocabulary = 152064;
    shape.qkv_bias = true;
    shape.inverse_frequencies = local::cuda::plain_frequencies(128, 1e4);
    return shape;
  }
  shape.width = 1024;
  shape.feed_forward_width = 3072;
  shape.query_heads = 16;
  shape.kv_heads = 8;
  shape.vocabulary = 151936;
  shape.head_norms = true;
  shape.head_is_embedding = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(128, 1e6);
  return shape;
}

}  // namespace spillway::gpu_test
