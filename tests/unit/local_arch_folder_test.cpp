// What the config of a Hugging Face folder says of its decoder.
#include "backends/local/arch/arch_spec.h"
#include "tests/unit/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

namespace spillway::local {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class ArchSpecOfAFolder : public testing::Test {
 protected:
  ArchSpecOfAFolder() : folder_("local_arch_folder_test-") {
    folder_.tensor("model.embed_tokens.weight", {16, 64});
    folder_.write_tensors();
  }

  Result<ArchSpec> read(const std::string& type, const json& more = json::object()) const {
    json config = {{"model_type", type},       {"num_hidden_layers", 3},
                   {"hidden_size", 64},        {"intermediate_size", 96},
                   {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                   {"head_dim", 32},           {"max_position_embeddings", 4096}};
    config.update(more);
    return read_text(config.dump());
  }

  Result<ArchSpec> read_text(const std::string& config) const {
    folder_.write("config.json", config);
    const auto file = loader::ModelFile::open(folder_.path);
    if (!file) return file.error();
    return read_arch_spec(*file);
  }

  std::string error_of(const std::string& type, const json& more) const {
    const auto spec = read(type, more);
    return spec ? "read" : spec.error().message;
  }

  loader::FolderWriter folder_;
};

double plain(int pair) { return std::pow(10'000.0, -pair / 16.0); }

TEST_F(ArchSpecOfAFolder, HeadsAreWhatTheConfigSays) {
  const auto spec = read("qwen3");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->name, "qwen3");
  EXPECT_EQ(spec->head_width, 32);
  EXPECT_EQ(spec->score_width, 32.0);
  EXPECT_EQ(spec->rope_gain, 1.0);
  EXPECT_FALSE(spec->interleaved_rope_rows);
  EXPECT_FALSE(spec->windows.holds(0));
  EXPECT_FALSE(spec->gemma.used);
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[4], plain(4));
}

// Waves longer than the first context are stretched, short ones stay; between 1 and 4 turns over it
// they are blended.
TEST_F(ArchSpecOfAFolder, Llama3ScalingStretchesLongWaves) {
  const auto spec = read("llama", {{"rope_theta", 10'000.0},
                                   {"rope_scaling",
                                    {{"rope_type", "llama3"},
                                     {"factor", 8.0},
                                     {"low_freq_factor", 1.0},
                                     {"high_freq_factor", 4.0},
                                     {"original_max_position_embeddings", 64}}}});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[0], plain(0));
  EXPECT_DOUBLE_EQ(spec->inverse_frequencies[15], plain(15) / 8.0);
  const double turns = 64 * plain(3) / (2.0 * std::numbers::pi);
  const double kept = (turns - 1.0) / 3.0;
  ASSERT_TRUE(kept > 0.0 && kept < 1.0);
  EXPECT_NEAR(spec->inverse_frequencies[3], plain(3) * (kept + (1.0 - kept) / 8.0), 1e-12);
}

TEST_F(ArchSpecOfAFolder, LinearAndYarnScaling) {
  const auto linear = read("llama", {{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}});
  ASSERT_TRUE(linear) << linear.error().message;
  EXPECT_DOUBLE_EQ(linear->inverse_frequencies[5], plain(5) / 4.0);
  const json scaling = {{"rope_type", "yarn"},
                        {"factor", 8.0},
                        {"rope_theta", 10'000.0},
                        {"original_max_position_embeddings", 64}};
  const auto yarn = read("qwen3", {{"rope_parameters", scaling}});
  ASSERT_TRUE(yarn) << yarn.error().message;
  EXPECT_DOUBLE_EQ(yarn->inverse_frequencies[15], plain(15) / 8.0);
  EXPECT_DOUBLE_EQ(yarn->rope_gain, 0.1 * std::log(8.0) + 1.0);
  json given = scaling;
  given["attention_factor"] = 1.25;
  EXPECT_EQ(read("qwen3", {{"rope_parameters", given}})->rope_gain, 1.25);
}

TEST_F(ArchSpecOfAFolder, WindowsAreOfTheLayersThatHaveThem) {
  const auto mistral = read("mistral", {{"sliding_window", 100}});
  ASSERT_TRUE(mistral) << mistral.error().message;
  EXPECT_EQ(mistral->windows.width, 100);
  EXPECT_THAT(mistral->windows.of_layers, ElementsAre(true, true, true));
  EXPECT_EQ(read("mistral", {{"sliding_window", nullptr}})->windows.width, 0);
  const json late = {{"sliding_window", 100}, {"max_window_layers", 2}};
  EXPECT_EQ(read("qwen2", late)->windows.width, 0);
  json used = late;
  used["use_sliding_window"] = true;
  EXPECT_THAT(read("qwen2", used)->windows.of_layers, ElementsAre(false, false, true));
}

TEST_F(ArchSpecOfAFolder, GemmaHasCapsGainsAndTwoRopes) {
  const auto second = read("gemma2");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->gemma.used && second->gemma.norms_less_one);
  EXPECT_EQ(second->gemma.embedding_gain, 8.0);
  EXPECT_EQ(second->gemma.score_cap, 50.0);
  EXPECT_EQ(second->gemma.logit_cap, 30.0);
  EXPECT_EQ(second->score_width, 256.0);
  EXPECT_THAT(second->windows.of_layers, ElementsAre(true, false, true));
  EXPECT_TRUE(second->windows.inverse_frequencies.empty());
  const auto third = read("gemma3");
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_EQ(third->gemma.score_cap, 0.0);
  EXPECT_DOUBLE_EQ(third->windows.inverse_frequencies[4], plain(4));
  EXPECT_DOUBLE_EQ(third->inverse_frequencies[4], std::pow(1e6, -0.25));
}

TEST_F(ArchSpecOfAFolder, ExpertsAndLatentRows) {
  const json experts = {
      {"num_experts", 8}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 16}};
  const auto qwen = read("qwen3_moe", experts);
  ASSERT_TRUE(qwen) << qwen.error().message;
  EXPECT_EQ(qwen->experts.count, 8);
  EXPECT_FALSE(qwen->experts.normalised);
  const json latent = {{"kv_lora_rank", 32},
                       {"qk_rope_head_dim", 16},
                       {"qk_nope_head_dim", 24},
                       {"v_head_dim", 20},
                       {"q_lora_rank", 12},
                       {"n_routed_experts", 8},
                       {"num_experts_per_tok", 2},
                       {"n_shared_experts", 1},
                       {"moe_intermediate_size", 16},
                       {"n_group", 4},
                       {"topk_group", 2},
                       {"routed_scaling_factor", 2.5}};
  const auto third = read("deepseek_v3", latent);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_EQ(third->latent.key_width, 24);
  EXPECT_EQ(third->latent.value_width, 20);
  EXPECT_EQ(third->latent.query_width, 12);
  EXPECT_TRUE(third->experts.sigmoid && third->experts.normalised);
  EXPECT_EQ(third->experts.groups, 4);
  EXPECT_EQ(third->experts.scale, 2.5);
  const auto second = read("deepseek_v2", latent);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(second->experts.sigmoid || second->experts.normalised);
  EXPECT_EQ(second->experts.groups, 1);  // Its topk_method is not by groups.
}

TEST_F(ArchSpecOfAFolder, SaysWhatItDoesNotRead) {
  EXPECT_THAT(error_of("qwen3_moe", {{"num_experts", 8}, {"mlp_only_layers", {1}}}),
              HasSubstr("layers without experts"));
  EXPECT_THAT(error_of("llama", {{"rope_theta", 0.0}}), HasSubstr("freq_base is not above 1"));
  EXPECT_THAT(error_of("llama", {{"rope_scaling", {{"type", "linear"}, {"factor", 0.5}}}}),
              HasSubstr("factor is below 1"));
  EXPECT_THAT(error_of("llama", {{"rope_scaling", {{"type", "linear"}}}}), HasSubstr("factor"));
  EXPECT_THAT(error_of("llama", {{"partial_rotary_factor", 0.5}}), HasSubstr("partial_rotary"));
  EXPECT_THAT(error_of("llama", {{"num_hidden_layers", -1}}), HasSubstr("block_count is -1"));
  EXPECT_THAT(error_of("mistral", {{"sliding_window", 1LL << 33}}), HasSubstr("sliding_window"));
  EXPECT_THAT(error_of("gemma2", {{"query_pre_attn_scalar", 0}}), HasSubstr("score_width"));
}

// Whatever number stands where, it is read or refused: nothing is made of sizes that no model has.
TEST_F(ArchSpecOfAFolder, AnyNumberIsReadOrRefused) {
  const json values = {0,   -1,    1,   3,    1 << 24, 1LL << 31, 1LL << 40, -(1LL << 62),
                       0.5, 1e308, "x", true, nullptr};
  const json keys = {"num_hidden_layers",   "hidden_size",      "num_attention_heads",
                     "num_key_value_heads", "head_dim",         "max_position_embeddings",
                     "rms_norm_eps",        "rope_theta",       "sliding_window",
                     "kv_lora_rank",        "qk_rope_head_dim", "qk_nope_head_dim",
                     "v_head_dim",          "n_routed_experts", "num_experts",
                     "num_experts_per_tok", "n_group",          "query_pre_attn_scalar"};
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    const char* types[] = {"llama", "qwen3_moe", "gemma3", "deepseek_v3"};
    json more;
    for (int k = 0; k <= i % 2; ++k)
      more[keys[random() % keys.size()]] = values[random() % values.size()];
    refused += read(types[i % 4], more) ? 0 : 1;
  }
  EXPECT_GT(refused, 300);
  EXPECT_LT(refused, 600);
}

}  // namespace
}  // namespace spillway::local
