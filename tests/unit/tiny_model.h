// A decoder of two small layers, as a checkpoint (rows as Hugging Face orders them) and as the GGUF
// file that llama.cpp's converter makes of it.
#pragma once

#include "tests/unit/gguf_writer.h"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace spillway::local {

struct TinyModel {
  static constexpr int kLayers = 2;
  static constexpr int kWidth = 32;
  static constexpr int kInner = 64;
  static constexpr int kQueryHeads = 2;
  static constexpr int kKvHeads = 1;
  static constexpr int kHeadWidth = 64;
  static constexpr int kExperts = 4;
  static constexpr int kExpertInner = 16;

  // "llama", "qwen2" (biases), "qwen3" (norms of heads) or "qwen3moe" (experts, too).
  explicit TinyModel(const std::string& architecture, bool separate_head = false,
                     std::uint64_t vocabulary = 48)
      : architecture(architecture) {
    add("token_embd.weight", {vocabulary, kWidth});
    add("output_norm.weight", {kWidth});
    if (separate_head) add("output.weight", {vocabulary, kWidth});
    for (int i = 0; i < kLayers; ++i) add_layer("blk." + std::to_string(i) + ".");
  }

  void add(const std::string& name, const std::vector<std::uint64_t>& shape) {
    shapes[name] = shape;
    checkpoint[name] = whole_numbers(shape, random);
  }

  void remove(const std::string& name) {
    shapes.erase(name);
    checkpoint.erase(name);
  }

  std::string write(const std::string& path) const {
    GgufWriter file;
    const std::string prefix = architecture + ".";
    file.text("general.architecture", architecture);
    file.integer(prefix + "block_count", layers_claimed);
    file.integer(prefix + "context_length", 4096);
    file.integer(prefix + "embedding_length", kWidth);
    file.integer(prefix + "feed_forward_length", kInner);
    file.integer(prefix + "attention.head_count", heads_claimed);
    file.integer(prefix + "attention.head_count_kv", kKvHeads);
    file.integer(prefix + "attention.key_length", kHeadWidth);
    if (architecture == "qwen3moe") {
      file.integer(prefix + "expert_count", kExperts);
      file.integer(prefix + "expert_used_count", 2);
      file.integer(prefix + "expert_feed_forward_length", kExpertInner);
    }
    file.number(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
    file.number(prefix + "rope.freq_base", 10'000.0f);
    for (const auto& [name, shape] : shapes) file.tensor(name, shape, as_stored(name), bf16);
    file.write(path);
    return path;
  }

  std::string architecture;
  std::uint32_t layers_claimed = kLayers;
  std::uint32_t heads_claimed = kQueryHeads;
  bool bf16 = false;  // How the file stores its tensors.
  std::map<std::string, std::vector<std::uint64_t>> shapes;
  std::map<std::string, std::vector<float>> checkpoint;
  std::mt19937 random{7};

 private:
  void add_layer(const std::string& prefix) {
    constexpr int kQueryWidth = kQueryHeads * kHeadWidth;
    constexpr int kKvWidth = kKvHeads * kHeadWidth;
    add(prefix + "attn_norm.weight", {kWidth});
    add(prefix + "ffn_norm.weight", {kWidth});
    add(prefix + "attn_q.weight", {kQueryWidth, kWidth});
    add(prefix + "attn_k.weight", {kKvWidth, kWidth});
    add(prefix + "attn_v.weight", {kKvWidth, kWidth});
    add(prefix + "attn_output.weight", {kWidth, kQueryWidth});
    architecture == "qwen3moe" ? add_experts(prefix) : add_dense(prefix);
    if (architecture == "qwen2") {
      add(prefix + "attn_q.bias", {kQueryWidth});
      add(prefix + "attn_k.bias", {kKvWidth});
      add(prefix + "attn_v.bias", {kKvWidth});
    }
    if (architecture.starts_with("qwen3")) {
      add(prefix + "attn_q_norm.weight", {kHeadWidth});
      add(prefix + "attn_k_norm.weight", {kHeadWidth});
    }
  }

  void add_dense(const std::string& prefix) {
    add(prefix + "ffn_gate.weight", {kInner, kWidth});
    add(prefix + "ffn_up.weight", {kInner, kWidth});
    add(prefix + "ffn_down.weight", {kWidth, kInner});
  }

  void add_experts(const std::string& prefix) {
    add(prefix + "ffn_gate_inp.weight", {kExperts, kWidth});
    add(prefix + "ffn_gate_exps.weight", {kExperts, kExpertInner, kWidth});
    add(prefix + "ffn_up_exps.weight", {kExperts, kExpertInner, kWidth});
    add(prefix + "ffn_down_exps.weight", {kExperts, kWidth, kExpertInner});
  }

  // Row r of a head of d rows is row (r % 2) · d/2 + r / 2 of the checkpoint: see
  // loader/model_file.h.
  std::vector<float> as_stored(const std::string& name) const {
    const std::vector<float>& values = checkpoint.at(name);
    const bool permuted = architecture == "llama" && (name.find("attn_q.") != std::string::npos ||
                                                      name.find("attn_k.") != std::string::npos);
    if (!permuted) return values;
    const std::size_t rows = shapes.at(name)[0];
    const std::size_t columns = values.size() / rows;
    std::vector<float> stored;
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t r = row % kHeadWidth;
      const std::size_t from = row - r + r % 2 * (kHeadWidth / 2) + r / 2;
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(from * columns);
      stored.insert(stored.end(), begin, begin + static_cast<std::ptrdiff_t>(columns));
    }
    return stored;
  }
};

}  // namespace spillway::local
