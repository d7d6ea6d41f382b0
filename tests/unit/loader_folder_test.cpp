// Hugging Face folders: what is read of them, and what is said of damaged and hostile ones.
#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/model_file.h"
#include "tests/unit/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace spillway::loader {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

json llama_config() {
  return {{"model_type", "llama"},         {"num_hidden_layers", 1},   {"hidden_size", 8},
          {"intermediate_size", 12},       {"num_attention_heads", 2}, {"num_key_value_heads", 1},
          {"max_position_embeddings", 64}, {"rms_norm_eps", 1e-5},     {"rope_theta", 10'000.0}};
}

class Folder : public testing::Test {
 protected:
  Folder() : folder_("loader_folder_test-") {
    folder_.tensor("model.embed_tokens.weight", {16, 8});
    folder_.tensor("model.norm.weight", {8});
    folder_.tensor("model.layers.0.self_attn.q_proj.weight", {8, 8});
    folder_.write("config.json", llama_config().dump());
    folder_.write_tensors();
  }

  std::string error_of_opening() const {
    const auto file = ModelFile::open(folder_.path);
    return file ? "opened" : file.error().message;
  }

  // What is said of a single file with this table over `data_bytes` bytes.
  std::string error_of_table(const json& table, std::size_t data_bytes) const {
    folder_.write("model.safetensors", safetensors_file(table, std::string(data_bytes, '\0')));
    return error_of_opening();
  }

  FolderWriter folder_;
};

TEST_F(Folder, HasTensorsAndKeysByGgufsNames) {
  const auto file = ModelFile::open(folder_.path);
  ASSERT_TRUE(file) << file.error().message;
  const Tensor* query = file->find("blk.0.attn_q.weight");
  ASSERT_NE(query, nullptr);
  EXPECT_THAT(query->shape, ElementsAre(8, 8));
  std::vector<float> row(8);
  ASSERT_TRUE(dequantize(*query, 2, 1, row));
  EXPECT_EQ(row[3], 19.0F);
  EXPECT_NE(file->find("token_embd.weight"), nullptr);
  EXPECT_NE(file->find("output_norm.weight"), nullptr);
  EXPECT_EQ(file->metadata().text("general.architecture").value(), "llama");
  EXPECT_EQ(file->metadata().integer("llama.block_count").value(), 1);
  EXPECT_EQ(file->metadata().integer("llama.attention.head_count_kv").value(), 1);
  EXPECT_EQ(file->metadata().number("llama.rope.freq_base").value(), 10'000.0);
  EXPECT_EQ(file->rope_rows(), RopeRows::halves);
  EXPECT_EQ(file->folder(), folder_.path);
}

TEST_F(Folder, ShardsAreReadByTheirIndexAndNothingElse) {
  FolderWriter shards("loader_folder_test-shards-");
  shards.write("config.json", llama_config().dump());
  FolderWriter first("loader_folder_test-first-");
  first.tensor("model.embed_tokens.weight", {16, 8});
  FolderWriter second("loader_folder_test-second-");
  second.tensor("model.norm.weight", {8});
  shards.write("a.safetensors", safetensors_file(first.table, first.data));
  shards.write("b.safetensors", safetensors_file(second.table, second.data));
  const auto write_index = [&](const json& map) {
    shards.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  };
  const auto error = [&] {
    const auto file = ModelFile::open(shards.path);
    return file ? std::string("opened") : file.error().message;
  };
  json map = {{"model.embed_tokens.weight", "a.safetensors"},
              {"model.norm.weight", "b.safetensors"}};
  write_index(map);
  EXPECT_EQ(error(), "opened");
  map["model.norm.weight"] = "a.safetensors";
  write_index(map);
  EXPECT_THAT(error(), HasSubstr("tensor model.norm.weight is not in a.safetensors"));
  map["model.norm.weight"] = "../b.safetensors";
  write_index(map);
  EXPECT_THAT(error(), HasSubstr("../b.safetensors is no file of this folder"));
  map["model.norm.weight"] = "c.safetensors";
  write_index(map);
  EXPECT_THAT(error(), AllOf(HasSubstr("c.safetensors"), HasSubstr("cannot open")));
  write_index(json::array());
  EXPECT_THAT(error(), HasSubstr("has no weight_map"));
}

TEST_F(Folder, ExpertsAreStackedAndAGapIsSeen) {
  json config = llama_config();
  config["model_type"] = "qwen3_moe";
  config["num_experts"] = 2;
  folder_.write("config.json", config.dump());
  folder_.tensor("model.layers.0.mlp.experts.1.up_proj.weight", {3, 4});
  folder_.tensor("model.layers.0.mlp.experts.0.up_proj.weight", {3, 4});
  folder_.write_tensors();
  const auto file = ModelFile::open(folder_.path);
  ASSERT_TRUE(file) << file.error().message;
  const Tensor* up = file->find("blk.0.ffn_up_exps.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_THAT(up->shape, ElementsAre(2, 3, 4));
  EXPECT_EQ(up->run(1, 4).size(), 2U * 16);  // A run ends with its piece.
  std::vector<float> all(24);
  ASSERT_TRUE(dequantize(*up, all));
  EXPECT_EQ(all[11], 11.0F);
  EXPECT_EQ(all[12], 0.0F);
  folder_.tensor("model.layers.0.mlp.experts.3.up_proj.weight", {3, 4});
  folder_.write_tensors();
  EXPECT_THAT(error_of_opening(), HasSubstr("expert 3 follows a gap"));
}

TEST_F(Folder, ATiedHeadIsTheEmbeddingEvenIfItIsStored) {
  folder_.tensor("lm_head.weight", {16, 8});
  folder_.write_tensors();
  EXPECT_NE(ModelFile::open(folder_.path)->find("output.weight"), nullptr);
  json config = llama_config();
  config["tie_word_embeddings"] = true;
  folder_.write("config.json", config.dump());
  EXPECT_EQ(ModelFile::open(folder_.path)->find("output.weight"), nullptr);
}

// Gemma's published configs say only where they differ.
TEST_F(Folder, WhatAConfigLeavesOutIsWhatTransformersTakes) {
  folder_.write("config.json",
                json{{"model_type", "gemma3"},
                     {"text_config",
                      {{"model_type", "gemma3_text"},
                       {"num_hidden_layers", 7},
                       {"sliding_window", 1024},
                       {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}}}}
                    .dump());
  const auto file = ModelFile::open(folder_.path);
  ASSERT_TRUE(file) << file.error().message;
  const Metadata& said = file->metadata();
  EXPECT_EQ(said.integer("gemma3.attention.head_count").value(), 8);
  EXPECT_EQ(said.integer("gemma3.attention.key_length").value(), 256);
  EXPECT_EQ(said.integer("gemma3.attention.sliding_window").value(), 1024);
  EXPECT_THAT(said.integers("gemma3.attention.sliding_window_pattern").value(),
              ElementsAre(1, 1, 1, 1, 1, 0, 1));
  EXPECT_EQ(said.number("gemma3.rope.freq_base").value(), 1'000'000.0);
  EXPECT_EQ(said.number("gemma3.rope.freq_base_swa").value(), 10'000.0);
  EXPECT_EQ(said.number("gemma3.rope.scaling.factor").value(), 8.0);
  EXPECT_EQ(said.number("gemma3.attention.layer_norm_rms_epsilon").value(), 1e-6);
  EXPECT_TRUE(file->norms_less_one());
}

TEST_F(Folder, DeepseeksKeysAndValuesAreTakenApart) {
  json config = llama_config();
  config.update({{"model_type", "deepseek_v3"},
                 {"qk_rope_head_dim", 2},
                 {"qk_nope_head_dim", 2},
                 {"v_head_dim", 1},
                 {"kv_lora_rank", 4}});
  folder_.write("config.json", config.dump());
  folder_.tensor("model.layers.0.self_attn.kv_b_proj.weight", {6, 4});  // Two heads of 2 + 1 rows.
  folder_.write_tensors();
  const auto file = ModelFile::open(folder_.path);
  ASSERT_TRUE(file) << file.error().message;
  const Tensor* keys = file->find("blk.0.attn_k_b.weight");
  const Tensor* values = file->find("blk.0.attn_v_b.weight");
  ASSERT_TRUE(keys != nullptr && values != nullptr);
  EXPECT_THAT(keys->shape, ElementsAre(2, 4, 2));
  EXPECT_THAT(values->shape, ElementsAre(2, 1, 4));
  std::vector<float> key(16), value(8);
  ASSERT_TRUE(dequantize(*keys, key) && dequantize(*values, value));
  EXPECT_THAT(key, ElementsAre(0, 4, 1, 5, 2, 6, 3, 7, 12, 16, 13, 17, 14, 18, 15, 19));
  EXPECT_THAT(value, ElementsAre(8, 9, 10, 11, 20, 21, 22, 23));
  config["v_head_dim"] = 2;
  folder_.write("config.json", config.dump());
  EXPECT_THAT(error_of_opening(),
              HasSubstr("has 6 rows, which are not the heads' keys and values"));
}

TEST_F(Folder, SaysWhatIsMissing) {
  folder_.remove("model.safetensors");
  EXPECT_THAT(error_of_opening(), HasSubstr("model.safetensors: cannot open"));
  folder_.remove("config.json");
  EXPECT_THAT(error_of_opening(), HasSubstr("has no config.json"));
}

TEST_F(Folder, SaysWhatIsWrongWithTheConfig) {
  const auto error_of = [&](const char* key, const json& value) {
    json config = llama_config();
    config[key] = value;
    folder_.write("config.json", config.dump());
    return error_of_opening();
  };
  EXPECT_THAT(error_of("model_type", "mamba"),
              HasSubstr("model_type mamba is not supported: llama"));
  EXPECT_THAT(error_of("model_type", 3), HasSubstr("model_type is missing"));
  EXPECT_THAT(error_of("hidden_size", "wide"), HasSubstr("hidden_size is \"wide\""));
  EXPECT_THAT(error_of("hidden_size", 1e300), HasSubstr("hidden_size is"));
  EXPECT_THAT(error_of("hidden_act", "relu"), HasSubstr("hidden_act is \"relu\""));
  EXPECT_THAT(error_of("rope_scaling", json{{"type", "dynamic"}}), HasSubstr("\"dynamic\""));
  folder_.write("config.json", "{\"model_type\": }");
  EXPECT_THAT(error_of_opening(), AllOf(HasSubstr("config.json"), HasSubstr("line 1, column 16")));
  folder_.write("config.json", std::string(100'000, '['));
  EXPECT_THAT(error_of_opening(), HasSubstr("nests deeper than 32"));
  folder_.write("config.json", "[]");
  EXPECT_THAT(error_of_opening(), HasSubstr("is not a JSON object"));
}

TEST_F(Folder, SaysWhatIsWrongWithTheTensors) {
  const auto tensor = [](const json& shape, const json& offsets, const char* type = "F32") {
    return json{
        {"model.norm.weight", {{"dtype", type}, {"shape", shape}, {"data_offsets", offsets}}}};
  };
  EXPECT_EQ(error_of_table(tensor({8}, {0, 32}), 32), "opened");
  EXPECT_THAT(error_of_table(tensor({8}, {0, 32}), 31), HasSubstr("is the file cut off?"));
  EXPECT_THAT(error_of_table(tensor({8}, {0, 32}), 33), HasSubstr("its tensors end at 32"));
  EXPECT_THAT(error_of_table(tensor({7}, {0, 32}), 32),
              HasSubstr("has 32 bytes, and its shape needs 28"));
  EXPECT_THAT(error_of_table(tensor({8}, {32, 0}), 32), HasSubstr("no range of bytes"));
  EXPECT_THAT(error_of_table(tensor({8}, {-32, 0}), 32), HasSubstr("no range of bytes"));
  EXPECT_THAT(error_of_table(tensor({8}, {0, 32.0}), 32), HasSubstr("no range of bytes"));
  EXPECT_THAT(error_of_table(tensor({8}, {0}), 32), HasSubstr("data_offsets of two numbers"));
  EXPECT_THAT(error_of_table(tensor({0}, {0, 0}), 0), HasSubstr("a dimension of 0 elements"));
  EXPECT_THAT(error_of_table(tensor({1U << 30, 1U << 30}, {0, 32}), 32),
              HasSubstr("a dimension of"));
  EXPECT_THAT(error_of_table(tensor({8}, {0, 8}, "F8_E5M2"), 8),
              HasSubstr("F8_E5M2, which is not read"));
  EXPECT_THAT(error_of_table({{"model.norm.weight", 1}}, 0), HasSubstr("other than an object"));
  json both = tensor({8}, {0, 32});
  both["model.embed_tokens.weight"] = {
      {"dtype", "F32"}, {"shape", {4}}, {"data_offsets", {16, 32}}};
  EXPECT_THAT(error_of_table(both, 32), HasSubstr("begins at byte 16 of the data"));
  EXPECT_THAT(error_of_table({{"model.layers.0.mixer.weight",
                               {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {0, 4}}}}},
                             4),
              HasSubstr("mixer.weight is none that is known here"));
  folder_.write("model.safetensors", "short");
  EXPECT_THAT(error_of_opening(), HasSubstr("the table's length needs 8 bytes"));
  folder_.write("model.safetensors", std::string(16, '\xFF'));
  EXPECT_THAT(error_of_opening(), HasSubstr("no safetensors file"));
}

// Whatever byte is changed, the folder opens or is refused: nothing is read past an end.
TEST_F(Folder, AnyChangedByteIsReadOrRefused) {
  const std::string good = safetensors_file(folder_.table, folder_.data);
  const std::string config = llama_config().dump();
  std::mt19937 random(3);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = i % 2 == 0 ? good : config;
    const std::size_t within = i % 2 == 0 ? good.size() - folder_.data.size() : config.size();
    for (int changes = 0; changes < 1 + i % 3; ++changes)
      bytes[random() % within] = static_cast<char>(random());
    folder_.write(i % 2 == 0 ? "model.safetensors" : "config.json", bytes);
    const auto file = ModelFile::open(folder_.path);
    folder_.write("config.json", config);
    if (i % 2 == 0) folder_.write("model.safetensors", good);
    if (!file) {
      ++refused;
      continue;
    }
    for (const Tensor& tensor : file->tensors()) {
      std::vector<float> values(static_cast<std::size_t>(tensor.rows() * tensor.columns()));
      EXPECT_EQ(bool(dequantize(tensor, values)), can_dequantize(tensor.type));
    }
  }
  EXPECT_GT(refused, 150);
}

}  // namespace
}  // namespace spillway::loader
