// What a model file says about its decoder.
#include "backends/local/arch/arch_spec.h"
#include "backends/local/arch/model_tensor.h"
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
  loader::GgufFile open(const TinyModel& model) {
    auto file = loader::GgufFile::open(model.write(path_));
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
