// A folder with a small Llama, or Qwen3 with experts, whose matrices are GPTQ's or AWQ's: any
// codes, zero points and scales.
#pragma once

#include "tests/unit/folder_writer.h"

#include <cmath>
#include <random>

namespace spillway::loader {

class FourBitFolder {
 public:
  FourBitFolder(const std::string& method, int group, std::uint64_t seed, int experts = 0)
      : method_(method), group_(group), experts_(experts), random_(seed) {
    folder_.tensor("model.embed_tokens.weight", "F32", {kVocabulary, kWidth},
                   random(kVocabulary * kWidth));
    folder_.tensor("lm_head.weight", "F32", {kVocabulary, kWidth},
                   random(kVocabulary * kWidth, 0.06F));
    folder_.tensor("model.norm.weight", "F32", {kWidth}, random(kWidth, 0.2F, 1.0F));
    for (int layer = 0; layer < kLayers; ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".";
      for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        folder_.tensor(name + norm + ".weight", "F32", {kWidth}, random(kWidth, 0.2F, 1.0F));
      for (const char* square : {"q_proj", "o_proj"})
        matrix(name + "self_attn." + square, kWidth, kWidth);
      for (const char* half : {"k_proj", "v_proj"})
        matrix(name + "self_attn." + half, kWidth / 2, kWidth);
      if (experts == 0) feed_forward(name + "mlp.");
      if (experts > 0) add_experts(name);
    }
    folder_.write_tensors();
    write_config();
  }

  const std::string& path() const { return folder_.path; }

  static constexpr float kStepMin = 0.1F / 18.0F;  // Of the longest rows.
  static constexpr int kVocabulary = 512, kWidth = 256, kInner = 320, kLayers = 3;

 private:
  std::vector<float> random(int count, float deviation = 1.0F, float mean = 0.0F) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }

  std::vector<std::uint32_t> words(int count) {
    std::vector<std::uint32_t> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = static_cast<std::uint32_t>(random_());
    return values;
  }

  void matrix(const std::string& name, int rows, int columns) {
    const int groups = (columns + group_ - 1) / group_;
    const bool awq = method_ == "awq";
    folder_.tensor(name + ".qweight", "I32",
                   awq ? json({columns, rows / 8}) : json({columns / 8, rows}),
                   words(rows * columns / 8));
    folder_.tensor(name + ".qzeros", "I32", {groups, rows / 8}, words(groups * rows / 8));
    std::uniform_real_distribution<float> sizes(0.1F, 0.25F);
    std::vector<_Float16> scales(static_cast<std::size_t>(groups * rows));
    for (auto& scale : scales)
      scale = static_cast<_Float16>(sizes(random_) / std::sqrt(static_cast<float>(columns)));
    folder_.tensor(name + ".scales", "F16", {groups, rows}, scales);
  }

  void feed_forward(const std::string& name) {
    for (const char* wide : {"gate_proj", "up_proj"}) matrix(name + wide, kInner, kWidth);
    matrix(name + "down_proj", kWidth, kInner);
  }

  // What chooses them is in four bits, too: else not all matrices of a layer are.
  void add_experts(const std::string& name) {
    for (const char* norm : {"q_norm", "k_norm"})
      folder_.tensor(name + "self_attn." + norm + ".weight", "F32", {64}, random(64, 0.2F, 1.0F));
    matrix(name + "mlp.gate", experts_, kWidth);
    for (int i = 0; i < experts_; ++i)
      feed_forward(name + "mlp.experts." + std::to_string(i) + ".");
  }

  void write_config() const {
    json config = {
        {"model_type", experts_ > 0 ? "qwen3_moe" : "llama"},
        {"num_hidden_layers", kLayers},
        {"hidden_size", kWidth},
        {"intermediate_size", kInner},
        {"num_attention_heads", kWidth / 64},
        {"num_key_value_heads", kWidth / 128},
        {"vocab_size", kVocabulary},
        {"rms_norm_eps", 1e-5},
        {"max_position_embeddings", 512},
        {"quantization_config",
         {{"quant_method", method_}, {"bits", 4}, {"group_size", group_}, {"version", "gemm"}}}};
    if (experts_ > 0) {
      config.update({{"num_experts", experts_},
                     {"num_experts_per_tok", 2},
                     {"moe_intermediate_size", kInner},
                     {"head_dim", 64},
                     {"norm_topk_prob", true}});
    }
    folder_.write("config.json", config.dump());
  }

  const std::string method_;
  const int group_;
  const int experts_;
  std::mt19937_64 random_;
  FolderWriter folder_{"four_bit_folder-"};
};

}  // namespace spillway::loader
