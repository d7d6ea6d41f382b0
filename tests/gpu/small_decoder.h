// Decoders small enough for the reference, and sequences that run through an executor of them.
#pragma once

#include "backends/local/engine/executor.h"
#include "tests/gpu/decoder_reference.h"

#include <gtest/gtest.h>

#include <algorithm>
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

// Latent rows and experts, the first layer dense: "deepseek2" has a softmax, "deepseek3" sigmoids,
// biases and groups, and of "deepseek2-all" every token takes every expert. Heads fill no tile.
inline DecoderShape deepseek_shape(const std::string& kind) {
  DecoderShape shape;
  shape.layers = 3;
  shape.width = 256;
  shape.feed_forward_width = 320;
  shape.query_heads = 20;
  shape.kv_heads = 1;
  shape.head_width = 128;
  shape.vocabulary = 512;
  shape.context_max = 256;
  shape.latent.width = 512;
  shape.latent.rope_width = 64;
  shape.latent.key_width = 64;
  shape.latent.value_width = 128;
  shape.latent.score_gain = 1.2;
  local::Experts& experts = shape.experts;
  experts.count = 16;
  experts.chosen = kind == "deepseek2-all" ? 16 : 3;
  experts.shared = 2;
  experts.width = 64;
  experts.dense_layers = 1;
  experts.scale = 1.5;
  if (kind == "deepseek3") {
    experts.sigmoid = experts.biased = experts.normalised = true;
    experts.groups = 4;
    experts.groups_taken = 2;
  }
  shape.inverse_frequencies = local::cuda::plain_frequencies(64, 10000.0);
  return shape;
}

// Heads with norms, and experts in every layer, none of them shared: of "qwen3moe-all" every token
// takes every expert.
inline DecoderShape qwen3moe_shape(const std::string& kind) {
  DecoderShape shape;
  shape.layers = 3;
  shape.width = 256;
  shape.feed_forward_width = 320;
  shape.query_heads = 6;
  shape.kv_heads = 2;
  shape.head_width = 128;
  shape.vocabulary = 512;
  shape.context_max = 256;
  shape.head_norms = true;
  shape.experts.count = 32;
  shape.experts.chosen = kind == "qwen3moe-all" ? 32 : 4;
  shape.experts.width = 64;
  shape.experts.normalised = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(shape.head_width, 10000.0);
  return shape;
}

// Gemma 2 caps scores and logits, Gemma 3 norms heads and turns them by other angles where there is
// a window.
inline DecoderShape gemma_shape(const std::string& kind) {
  const bool second = kind == "gemma2";
  DecoderShape shape;
  shape.layers = 3;
  shape.width = 192;
  shape.feed_forward_width = 320;
  shape.query_heads = second ? 4 : 3;
  shape.kv_heads = second ? 2 : 1;
  shape.head_width = 256;
  shape.vocabulary = 512;
  shape.context_max = 256;
  shape.head_norms = !second;
  shape.head_is_embedding = true;
  shape.inverse_frequencies = local::cuda::plain_frequencies(256, second ? 10'000.0 : 1'000'000.0);
  shape.score_width = second ? 144.0 : 256.0;
  shape.windows.width = 24;
  shape.windows.of_layers = {true, false, true};
  if (!second) shape.windows.inverse_frequencies = local::cuda::plain_frequencies(256, 10'000.0);
  shape.gemma.used = true;
  shape.gemma.embedding_gain = std::sqrt(192.0);
  if (second) {
    shape.gemma.score_cap = 5.0;
    shape.gemma.logit_cap = 8.0;
  }
  return shape;
}

inline DecoderShape small_shape(const std::string& kind) {
  if (kind.starts_with("gemma")) return gemma_shape(kind);
  if (kind == "smollm2") return smollm2_shape();
  if (kind.starts_with("qwen3moe")) return qwen3moe_shape(kind);
  if (kind.starts_with("deepseek")) return deepseek_shape(kind);
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
  if (kind == "mistral") {
    shape.windows.width = 20;
    shape.windows.of_layers.assign(3, true);
  }
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

// Relative errors of rows of logits, smallest first, over a sequence in chunks of so many tokens;
// `expected` is of all its tokens.
inline std::vector<double> row_errors(local::Executor& executor, Running sequence,
                                      const std::vector<int>& chunks,
                                      std::span<const double> expected) {
  const auto width = std::size_t(executor.shape().vocabulary);
  std::vector<double> errors;
  for (const int count : chunks) {
    auto wanted = expected.subspan(std::size_t(sequence.done) * width);
    const Slice slice = sequence.next(count, count);
    const auto result = executor.run(std::span(&slice, 1));
    if (!result) {
      ADD_FAILURE() << result.error().message;
      return {1.0};
    }
    const std::vector<float> got(result->logits.begin(), result->logits.end());
    for (std::size_t at = 0; at < got.size(); at += width) {
      const auto row = std::span<const float>(got).subspan(at, width);
      errors.push_back(relative_error<float>(row, wanted.subspan(at, width)));
    }
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

inline std::vector<std::int32_t> shuffled_blocks(int count = kBlocks) {
  std::vector<std::int32_t> blocks(count);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), generator());
  return blocks;
}

// A token whose best experts are nearly equal may get others than in double precision.
inline void expect_most_rows(std::span<const float> got, std::span<const double> expected,
                             int width, const char* what, double tolerance = kLogitTolerance) {
  constexpr double kMost = 0.5;
  ASSERT_EQ(got.size(), expected.size()) << what;
  std::size_t near = 0;
  for (std::size_t at = 0; at < got.size(); at += width) {
    const double error = relative_error<float>(got.subspan(at, width), expected.subspan(at, width));
    near += error < tolerance ? 1 : 0;
    EXPECT_TRUE(std::isfinite(error)) << what << " row " << at / width;
  }
  EXPECT_GE(double(near), kMost * double(got.size() / width)) << what;
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
