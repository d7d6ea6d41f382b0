#include "backends/local/arch/deepseek_spec.h"

#include "backends/local/arch/experts_spec.h"
#include "backends/local/arch/rope_frequencies.h"

#include <cmath>
#include <utility>

namespace spillway::local {

namespace {

// Files speak of the latent row as of one head of keys and values, and of the real ones under keys
// of their own, if they have those.
LatentAttention latent_of(ArchKeys& keys) {
  LatentAttention latent;
  latent.width = keys.size("attention.kv_lora_rank");
  latent.query_width = keys.size("attention.q_lora_rank", 0);
  latent.rope_width = keys.size("rope.dimension_count");
  const int key = keys.size("attention.key_length_mla", 0);
  const int value = keys.size("attention.value_length_mla", 0);
  latent.key_width = (key > 0 ? key : keys.size("attention.key_length")) - latent.rope_width;
  latent.value_width = value > 0 ? value : keys.size("attention.value_length");
  return latent;
}

// Yarn stretches the frequencies, and scores by the square of a gain that the file gives as what it
// is multiplied by the logarithm of the factor with.
Result<void> read_latent_rope(const loader::ModelFile& file, ArchKeys& keys, double base,
                              ArchSpec& spec) {
  const std::string prefix = spec.name + ".";
  auto rope = read_rope(file, spec.latent.rope_width, prefix, base, /*yarn_gains=*/false);
  if (!rope) return rope.error();
  spec.inverse_frequencies = std::move(rope->inverse_frequencies);
  spec.rope_gain = rope->gain;
  const auto kind = file.metadata().text(prefix + "rope.scaling.type", "none");
  if (!kind || *kind != "yarn") return {};
  const double gain = 1.0 + keys.number("rope.scaling.yarn_log_multiplier", 0.0) *
                                std::log(keys.number("rope.scaling.factor"));
  if (keys.problem()) return *keys.problem();
  spec.latent.score_gain = gain * gain;
  return {};
}

}  // namespace

Result<void> read_deepseek(const loader::ModelFile& file, ArchKeys& keys, double base,
                           ArchSpec& spec) {
  if (file.find("blk.0.attn_kv_b.weight") != nullptr) {
    return unsupported(
        "attn_kv_b is keys and values in one: convert the model again, by a "
        "llama.cpp of April 2025 or later, which writes attn_k_b and attn_v_b");
  }
  spec.latent = latent_of(keys);
  auto experts = read_experts(file, keys, /*normalised=*/false);
  if (!experts) return experts.error();
  spec.experts = *experts;
  if (spec.latent.key_width < 1 || spec.latent.rope_width % 2 != 0) {
    return unsupported("keys of " + std::to_string(spec.latent.key_width + spec.latent.rope_width) +
                       " of which " + std::to_string(spec.latent.rope_width) +
                       " are rotated are not supported");
  }
  spec.head_width = spec.latent.value_width;
  return read_latent_rope(file, keys, base, spec);
}

}  // namespace spillway::local
