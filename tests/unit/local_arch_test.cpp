// What a model file says about its decoder.
#include "backends/local/arch/arch_spec.h"
#include "backends/local/arch/model_tensor.h"
#include "tests/unit/tiny_deepseek.h"
#include "tests/unit/tiny_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <unistd.h>

namespace spillway::local {
namespace {

using testing::HasSubstr;

class ArchSpecOfAFile : public testing::Test {
 protected:
  template <class Model>
  loader::ModelFile open(const Model& model) {
    auto file = loader::ModelFile::open(model.write(path_));
    if (!file) throw std::runtime_error(file.error().message);
    return std::move(*file);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  const std::string path_ = testing::TempDir() + "arch-" + std::to_string(::getpid()) + ".gguf";
};

TEST_F(ArchSpecOfAFile, Llama) {
  const auto spec = read_arch_spec(open(TinyModel("llama")));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->layers, 2);
  EXPECT_EQ(spec->width, 32);
  EXPECT_EQ(spec->query_heads, 2);
  EXPECT_EQ(spec->kv_heads, 1);
  EXPECT_EQ(spec->head_width, 64);
  EXPECT_EQ(spec->vocabulary, 48);
  EXPECT_EQ(spec->context_max, 4096);
  EXPECT_TRUE(spec->interleaved_rope_rows);
  EXPECT_TRUE(spec->head_is_embedding);
  EXPECT_FALSE(spec->qkv_bias);
  EXPECT_FALSE(spec->head_norms);
  ASSERT_EQ(spec->inverse_frequencies.size(), 32U);
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[16], std::pow(10'000.0, -0.5));
}

TEST_F(ArchSpecOfAFile, QwenHasBiasesOrNormsOfHeads) {
  const auto second = read_arch_spec(open(TinyModel("qwen2", true)));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->qkv_bias);
  EXPECT_FALSE(second->head_norms);
  EXPECT_FALSE(second->interleaved_rope_rows);
  EXPECT_FALSE(second->head_is_embedding);
  const auto third = read_arch_spec(open(TinyModel("qwen3")));
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_FALSE(third->qkv_bias);
  EXPECT_TRUE(third->head_norms);
}

TEST_F(ArchSpecOfAFile, FrequenciesAreDividedByTheFilesFactors) {
  TinyModel model("llama");
  model.add("rope_freqs.weight", {32});
  model.checkpoint["rope_freqs.weight"].assign(32, 8.0f);
  const auto spec = read_arch_spec(open(model));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[0], 1.0 / 8.0);
  model.add("rope_freqs.weight", {31});
  const auto wrong = read_arch_spec(open(model));
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("rope_freqs.weight is 1 x 31, expected 1 x 32"));
}

TEST_F(ArchSpecOfAFile, DeepseekHasLatentRowsAndExperts) {
  const auto spec = read_arch_spec(open(TinyDeepseek()));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->latent.width, 512);
  EXPECT_EQ(spec->latent.rope_width, 64);
  EXPECT_EQ(spec->latent.key_width, 64);
  EXPECT_EQ(spec->latent.value_width, 128);
  EXPECT_EQ(spec->latent.query_width, 0);
  EXPECT_EQ(spec->latent.score_gain, 1.0);
  EXPECT_EQ(spec->head_width, 128);
  EXPECT_EQ(spec->kv_token_width(), 576);
  EXPECT_EQ(spec->experts.count, 16);
  EXPECT_EQ(spec->experts.chosen, 3);
  EXPECT_EQ(spec->experts.shared, 2);
  EXPECT_EQ(spec->experts.width, 64);
  EXPECT_EQ(spec->experts.dense_layers, 1);
  EXPECT_EQ(spec->experts.groups, 1);
  EXPECT_FALSE(spec->experts.sigmoid);
  EXPECT_FALSE(spec->experts.biased);
  EXPECT_EQ(spec->experts.scale, 1.0);
  ASSERT_EQ(spec->inverse_frequencies.size(), 32U);
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[16], std::pow(10'000.0, -0.5));
}

TEST_F(ArchSpecOfAFile, LaterDeepseeksChooseByGroupsAndBiases) {
  TinyDeepseek model;
  model.integers["expert_gating_func"] = 2;
  model.integers["expert_group_count"] = 4;
  model.integers["expert_group_used_count"] = 2;
  model.numbers["expert_weights_scale"] = 2.5f;
  model.integers["attention.q_lora_rank"] = 96;
  model.add("blk.1.exp_probs_b.bias", {TinyDeepseek::kExperts});
  const auto spec = read_arch_spec(open(model));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_TRUE(spec->experts.sigmoid);
  EXPECT_TRUE(spec->experts.biased);
  EXPECT_EQ(spec->experts.groups, 4);
  EXPECT_EQ(spec->experts.groups_taken, 2);
  EXPECT_EQ(spec->experts.scale, 2.5);
  EXPECT_EQ(spec->latent.query_width, 96);
}

// What transformers computes for DeepSeek-V2-Lite: 40 times the first context of 4096.
TEST_F(ArchSpecOfAFile, YarnStretchesSlowPairsAndScores) {
  TinyDeepseek model;
  model.texts["rope.scaling.type"] = "yarn";
  model.numbers["rope.scaling.factor"] = 40.0f;
  model.integers["rope.scaling.original_context_length"] = 4096;
  model.numbers["rope.scaling.yarn_log_multiplier"] = 0.0707f;
  const auto spec = read_arch_spec(open(model));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_NEAR(spec->latent.score_gain, 1.5896, 1e-3);
  const auto plain = [](int pair) { return std::pow(10'000.0, -pair / 32.0); };
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[10], plain(10));
  EXPECT_NEAR(spec->inverse_frequencies[16], plain(16) * (1.0 - 6.0 / 13 + 6.0 / 13 / 40), 1e-9);
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[23], plain(23) / 40.0);
}

TEST_F(ArchSpecOfAFile, DeepseeksThatAreNotReadSaySo) {
  TinyDeepseek model;
  model.integers["expert_used_count"] = 17;
  EXPECT_THAT(read_arch_spec(open(model)).error().message, HasSubstr("counts of experts"));
  model.integers["expert_used_count"] = 16;
  EXPECT_TRUE(read_arch_spec(open(model)));
  model.integers["attention.key_length_mla"] = 64;
  EXPECT_THAT(read_arch_spec(open(model)).error().message, HasSubstr("keys of 64 of which 64"));
  TinyDeepseek old;
  old.add("blk.0.attn_kv_b.weight", {192, 512});
  EXPECT_THAT(read_arch_spec(open(old)).error().message, HasSubstr("convert the model again"));
}

TEST_F(ArchSpecOfAFile, OtherArchitecturesAreNamed) {
  const auto spec = read_arch_spec(open(TinyModel("mamba")));
  ASSERT_FALSE(spec);
  EXPECT_THAT(spec.error().message, HasSubstr("architecture mamba is not supported: llama, qwen2"));
}

TEST_F(ArchSpecOfAFile, SizesThatNoModelHasAreRefusedBeforeAnythingIsMadeOfThem) {
  TinyModel model("llama");
  for (const std::uint32_t layers : {0u, 0x7FFFFFFFu}) {
    model.layers_claimed = layers;
    const auto spec = read_arch_spec(open(model));
    ASSERT_FALSE(spec);
    EXPECT_THAT(spec.error().message, HasSubstr("llama.block_count is " + std::to_string(layers)));
  }
  model.layers_claimed = 5'000;
  EXPECT_THAT(read_arch_spec(open(model)).error().message, HasSubstr("at most 4096 layers"));
  model.layers_claimed = 2;
  model.heads_claimed = 1 << 15;
  EXPECT_THAT(read_arch_spec(open(model)).error().message, HasSubstr("too wide together"));
}

TEST_F(ArchSpecOfAFile, FactorsMustBeAboveZero) {
  TinyModel model("llama");
  model.add("rope_freqs.weight", {32});
  model.checkpoint["rope_freqs.weight"].assign(32, 0.0f);
  EXPECT_THAT(read_arch_spec(open(model)).error().message, HasSubstr("not above 0"));
}

TEST_F(ArchSpecOfAFile, TensorsMustBeThereAndFit) {
  const auto file = open(TinyModel("llama"));
  const auto found = model_tensor(file, "blk.0.attn_q.weight", 128, 32);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->rows(), 128);
  EXPECT_THAT(model_tensor(file, "blk.0.attn_q.weight", 128, 64).error().message,
              HasSubstr("blk.0.attn_q.weight is 128 x 32, expected 128 x 64"));
  EXPECT_THAT(model_tensor(file, "blk.7.attn_q.weight", 128, 32).error().message,
              HasSubstr("blk.7.attn_q.weight"));
}

}  // namespace
}  // namespace spillway::local
