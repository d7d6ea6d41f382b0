#include "backends/local/arch/deepseek_spec.h"

#include "backends/local/arch/rope_frequencies.h"

#include <cmath>

namespace spillway::local {

namespace {

enum Gating { softmax = 1, sigmoid = 2 };  // expert_gating_func

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

Experts experts_of(const loader::ModelFile& file, ArchKeys& keys) {
  Experts experts;
  experts.count = keys.size("expert_count", 0);
  if (experts.count == 0) return experts;
  experts.chosen = keys.size("expert_used_count");
  experts.shared = keys.size("expert_shared_count", 0);
  experts.width = keys.size("expert_feed_forward_length");
  experts.dense_layers = keys.size("leading_dense_block_count", 0);
  experts.groups = keys.size("expert_group_count", 1);
  experts.groups_taken = keys.size("expert_group_used_count", experts.groups);
  experts.sigmoid = keys.size("expert_gating_func", softmax) == sigmoid;
  experts.normalised = keys.flag("expert_weights_norm", false);
  experts.scale = keys.number("expert_weights_scale", 1.0);
  const std::string first = "blk." + std::to_string(experts.dense_layers) + ".";
  experts.biased = file.find(first + "exp_probs_b.bias") != nullptr;
  return experts;
}

bool fits(const Experts& experts) {
  return experts.chosen <= experts.count && experts.groups_taken <= experts.groups &&
         experts.count % experts.groups == 0 &&
         experts.chosen <= experts.count / experts.groups * experts.groups_taken;
}

// Yarn stretches the frequencies, and scores by the square of a gain that the file gives as what it
// is multiplied by the logarithm of the factor with.
Result<void> read_rope(const loader::ModelFile& file, ArchKeys& keys, double base, ArchSpec& spec) {
  const std::string prefix = spec.name + ".";
  const auto kind = file.metadata().text(prefix + "rope.scaling.type", "none");
  if (!kind) return kind.error();
  if (*kind != "yarn") {
    auto plain = read_frequencies(file, spec.latent.rope_width, prefix, base);
    if (!plain) return plain.error();
    spec.inverse_frequencies = std::move(*plain);
    return {};
  }
  const double factor = keys.number("rope.scaling.factor");
  const int context = keys.size("rope.scaling.original_context_length");
  const double logarithm = keys.number("rope.scaling.yarn_log_multiplier", 0.0);
  if (keys.problem()) return *keys.problem();
  if (!(factor >= 1.0)) return unsupported(prefix + "rope.scaling.factor is below 1");
  const double gain = 1.0 + logarithm * std::log(factor);
  spec.latent.score_gain = gain * gain;
  spec.inverse_frequencies = yarn_frequencies(spec.latent.rope_width, base, factor, context);
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
  spec.experts = experts_of(file, keys);
  if (keys.problem()) return *keys.problem();
  if (spec.latent.key_width < 1 || spec.latent.rope_width % 2 != 0) {
    return unsupported("keys of " + std::to_string(spec.latent.key_width + spec.latent.rope_width) +
                       " of which " + std::to_string(spec.latent.rope_width) +
                       " are rotated are not supported");
  }
  if (!fits(spec.experts)) return unsupported("counts of experts do not fit each other");
  spec.head_width = spec.latent.value_width;
  return read_rope(file, keys, base, spec);
}

}  // namespace spillway::local
