// Decoders small enough for the reference, and sequences that run through an executor of them.
#pragma once

#include "backends/local/engine/executor.h"
#include "tests/gpu/decoder_reference.h"

#include <gtest/gtest.h>

#include <numeric>

namespace spillway::gpu_test {

using local::kBlockTokens;
using local::SequenceId;
using local::SequenceSampler;
using local::Slice;

inline constexpr double kLogitTolerance = 3e-2;  // bf16 activations through a few layers.
inline constexpr int kBlocks = 64;

// Three layers of SmolLM2-135M, with a part of its vocabulary: widths that are odd multiples of 32,
// three query heads a kv head.
inline DecoderShape smollm2_shape() {
  DecoderShape shape;
  shape.layers = 3;
  shape.width = 576;
  shape.feed_forward_width = 1536;
  shape.query_heads = 9;
  shape.kv_heads = 3;
  shape.head_width = 64;
  shape.vocabulary = 12'288;
  shape.context_max = 256;
  shape.norm_epsilon = 1e-5f;
  shape.head_is_embedding = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(shape.head_width, 100'000.0);
  return shape;
}

inline DecoderShape small_shape(const std::string& kind) {
  if (kind == "smollm2") return smollm2_shape();
  DecoderShape shape;
  shape.layers = 3;
  shape.width = 192;
  shape.feed_forward_width = 320;
  shape.query_heads = kind == "qwen2" ? 7 : 6;
  shape.kv_heads = kind == "qwen2" ? 1 : 2;
  shape.head_width = kind == "llama" ? 64 : 128;
  shape.vocabulary = 512;
  shape.context_max = 256;
  shape.qkv_bias = kind == "qwen2";
  shape.head_norms = kind == "qwen3";
  shape.head_is_embedding = kind == "qwen3";
  shape.inverse_frequencies = local::cuda::plain_frequencies(shape.head_width, 10000.0);
  shape.rope_gain = kind == "llama" ? 1.1 : 1.0;
  return shape;
}

// A sequence with blocks dealt at random.
struct Running {
  Running(SequenceId id, int tokens, int vocabulary, std::vector<std::int32_t>& free) : id(id) {
    for (int i = 0; i < tokens; ++i) all.push_back(random_int(0, vocabulary - 1));
    for (int i = 0; i < (tokens + kBlockTokens) / kBlockTokens + 1; ++i) {
      blocks.push_back(free.back());
      free.pop_back();
    }
  }

  Slice next(int tokens, int logits_rows, const SequenceSampler* sampler = nullptr) {
    Slice slice;
    slice.sequence = id;
    slice.tokens = std::span(all).subspan(done, tokens);
    slice.first_position = done;
    slice.blocks = blocks;
    slice.logits_rows = logits_rows;
    slice.sampler = sampler;
    done += tokens;
    return slice;
  }

  SequenceId id;
  std::vector<std::int32_t> all;
  std::vector<std::int32_t> blocks;
  int done = 0;
};

inline std::vector<std::int32_t> shuffled_blocks() {
  std::vector<std::int32_t> blocks(kBlocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), generator());
  return blocks;
}

inline void expect_rows(std::span<const float> got, std::span<const double> expected, int width,
                        const char* what, double tolerance = kLogitTolerance) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t at = 0; at < got.size(); at += width) {
    EXPECT_LT(relative_error<float>(got.subspan(at, width), expected.subspan(at, width)), tolerance)
        << what << " row " << at / width;
  }
}

}  // namespace spillway::gpu_test
