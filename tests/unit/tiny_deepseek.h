// A small decoder of DeepSeek's architecture, as the GGUF file that llama.cpp's converter makes of
// it: a dense layer, then one of experts.
#pragma once

#include "tests/unit/gguf_writer.h"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace spillway::local {

struct TinyDeepseek {
  static constexpr int kWidth = 128;
  static constexpr int kInner = 96;
  static constexpr int kHeads = 1;
  static constexpr int kLatent = 512;
  static constexpr int kRope = 64;
  static constexpr int kKey = 64;
  static constexpr int kValue = 128;
  static constexpr int kExperts = 16;
  static constexpr int kShared = 2;
  static constexpr int kExpertInner = 64;

  TinyDeepseek() {
    integers = {{"block_count", 2},
                {"context_length", 4096},
                {"embedding_length", kWidth},
                {"feed_forward_length", kInner},
                {"attention.head_count", kHeads},
                {"attention.head_count_kv", 1},
                {"attention.kv_lora_rank", kLatent},
                {"attention.key_length", kLatent + kRope},
                {"attention.value_length", kLatent},
                {"attention.key_length_mla", kKey + kRope},
                {"attention.value_length_mla", kValue},
                {"rope.dimension_count", kRope},
                {"expert_count", kExperts},
                {"expert_used_count", 3},
                {"expert_shared_count", kShared},
                {"expert_feed_forward_length", kExpertInner},
                {"leading_dense_block_count", 1}};
    add("token_embd.weight", {48, kWidth});
    add("output_norm.weight", {kWidth});
    for (const std::string prefix : {"blk.0.", "blk.1."}) add_attention(prefix);
    add("blk.0.ffn_gate.weight", {kInner, kWidth});
    add("blk.0.ffn_up.weight", {kInner, kWidth});
    add("blk.0.ffn_down.weight", {kWidth, kInner});
    add("blk.1.ffn_gate_inp.weight", {kExperts, kWidth});
    for (const std::string name : {"gate", "up"}) {
      add("blk.1.ffn_" + name + "_exps.weight", {kExperts, kExpertInner, kWidth});
      add("blk.1.ffn_" + name + "_shexp.weight", {kShared * kExpertInner, kWidth});
    }
    add("blk.1.ffn_down_exps.weight", {kExperts, kWidth, kExpertInner});
    add("blk.1.ffn_down_shexp.weight", {kWidth, kShared * kExpertInner});
  }

  void add(const std::string& name, const std::vector<std::uint64_t>& shape) {
    shapes[name] = shape;
    tensors[name] = whole_numbers(shape, random);
  }

  std::string write(const std::string& path) const {
    GgufWriter file;
    file.text("general.architecture", "deepseek2");
    for (const auto& [key, value] : integers) file.integer("deepseek2." + key, value);
    for (const auto& [key, value] : numbers) file.number("deepseek2." + key, value);
    for (const auto& [key, value] : texts) file.text("deepseek2." + key, value);
    for (const auto& [name, shape] : shapes) file.tensor(name, shape, tensors.at(name));
    file.write(path);
    return path;
  }

  std::map<std::string, std::uint32_t> integers;
  std::map<std::string, float> numbers = {{"attention.layer_norm_rms_epsilon", 1e-6f}};
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<std::uint64_t>> shapes;
  std::map<std::string, std::vector<float>> tensors;
  std::mt19937 random{7};

 private:
  void add_attention(const std::string& prefix) {
    add(prefix + "attn_norm.weight", {kWidth});
    add(prefix + "attn_q.weight", {kHeads * (kKey + kRope), kWidth});
    add(prefix + "attn_kv_a_mqa.weight", {kLatent + kRope, kWidth});
    add(prefix + "attn_kv_a_norm.weight", {kLatent});
    add(prefix + "attn_k_b.weight", {kHeads, kLatent, kKey});
    add(prefix + "attn_v_b.weight", {kHeads, kValue, kLatent});
    add(prefix + "attn_output.weight", {kWidth, kHeads * kValue});
    add(prefix + "ffn_norm.weight", {kWidth});
  }
};

}  // namespace spillway::local
