// TinyDeepseek as the Hugging Face folder that its GGUF file would have been made of, in bf16.
#pragma once

#include "tests/unit/folder_writer.h"
#include "tests/unit/tiny_deepseek.h"

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local {

class DeepseekFolder {
 public:
  explicit DeepseekFolder(const TinyDeepseek& model) : model_(model) {}

  std::string write(const std::string&) const {
    folder_.table = loader::json::object();
    folder_.data.clear();
    folder_.write("config.json", config().dump());
    put("model.embed_tokens.weight", "token_embd.weight");
    put("model.norm.weight", "output_norm.weight");
    for (const std::string layer : {"0", "1"}) put_layer(layer);
    for (const std::string name : {"gate", "up", "down"})
      put("model.layers.0.mlp." + name + "_proj.weight", "blk.0.ffn_" + name + ".weight");
    put("model.layers.1.mlp.gate.weight", "blk.1.ffn_gate_inp.weight");
    for (const std::string name : {"gate", "up", "down"}) {
      put("model.layers.1.mlp.shared_experts." + name + "_proj.weight",
          "blk.1.ffn_" + name + "_shexp.weight");
      put_experts(name);
    }
    folder_.write_tensors();
    return folder_.path;
  }

 private:
  using Values = std::vector<float>;
  using M = TinyDeepseek;

  static loader::json config() {
    return {{"model_type", "deepseek_v2"},
            {"num_hidden_layers", 2},
            {"max_position_embeddings", 4096},
            {"hidden_size", M::kWidth},
            {"intermediate_size", M::kInner},
            {"num_attention_heads", M::kHeads},
            {"num_key_value_heads", M::kHeads},
            {"kv_lora_rank", M::kLatent},
            {"qk_rope_head_dim", M::kRope},
            {"qk_nope_head_dim", M::kKey},
            {"v_head_dim", M::kValue},
            {"n_routed_experts", M::kExperts},
            {"num_experts_per_tok", 3},
            {"n_shared_experts", M::kShared},
            {"moe_intermediate_size", M::kExpertInner},
            {"first_k_dense_replace", 1}};
  }

  void put_layer(const std::string& layer) const {
    const std::string theirs = "model.layers." + layer + ".";
    const std::string ours = "blk." + layer + ".";
    put(theirs + "input_layernorm.weight", ours + "attn_norm.weight");
    put(theirs + "self_attn.q_proj.weight", ours + "attn_q.weight");
    put(theirs + "self_attn.kv_a_proj_with_mqa.weight", ours + "attn_kv_a_mqa.weight");
    put(theirs + "self_attn.kv_a_layernorm.weight", ours + "attn_kv_a_norm.weight");
    put(theirs + "self_attn.o_proj.weight", ours + "attn_output.weight");
    put(theirs + "post_attention_layernorm.weight", ours + "ffn_norm.weight");
    // Of its one head the key, turned back, and then the value.
    const Values& keys = model_.tensors.at(ours + "attn_k_b.weight");
    Values both;
    for (int key = 0; key < M::kKey; ++key) {
      for (int i = 0; i < M::kLatent; ++i)
        both.push_back(keys[static_cast<std::size_t>(i * M::kKey + key)]);
    }
    const Values& values = model_.tensors.at(ours + "attn_v_b.weight");
    both.insert(both.end(), values.begin(), values.end());
    put_values(theirs + "self_attn.kv_b_proj.weight", {M::kKey + M::kValue, M::kLatent}, both);
  }

  void put_experts(const std::string& name) const {
    const Values& all = model_.tensors.at("blk.1.ffn_" + name + "_exps.weight");
    const auto each = static_cast<std::ptrdiff_t>(all.size()) / M::kExperts;
    const int rows = name == "down" ? M::kWidth : M::kExpertInner;
    for (int i = 0; i < M::kExperts; ++i) {
      const auto begin = all.begin() + i * each;
      put_values("model.layers.1.mlp.experts." + std::to_string(i) + "." + name + "_proj.weight",
                 {rows, static_cast<std::int64_t>(each) / rows}, Values(begin, begin + each));
    }
  }

  void put(const std::string& theirs, const std::string& ours) const {
    const auto& shape = model_.shapes.at(ours);
    put_values(theirs, {shape.begin(), shape.end()}, model_.tensors.at(ours));
  }

  void put_values(const std::string& name, const std::vector<std::int64_t>& shape,
                  const Values& values) const {
    const auto begin = folder_.data.size();
    for (const float value : values) {
      const auto upper = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
      folder_.data.append(reinterpret_cast<const char*>(&upper), sizeof upper);
    }
    folder_.table[name] = {
        {"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {begin, folder_.data.size()}}};
  }

  const TinyDeepseek model_;
  mutable loader::FolderWriter folder_{"deepseek_folder-"};
};

}  // namespace spillway::local
