#include "backends/local/arch/experts_spec.h"

#include <string>

namespace spillway::local {

namespace {

enum Gating { softmax = 1, sigmoid = 2 };  // expert_gating_func

Experts experts_of(const loader::ModelFile& file, ArchKeys& keys, bool normalised) {
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
  experts.normalised = keys.flag("expert_weights_norm", normalised);
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

}  // namespace

Result<Experts> read_experts(const loader::ModelFile& file, ArchKeys& keys, bool normalised) {
  const Experts experts = experts_of(file, keys, normalised);
  if (keys.problem()) return *keys.problem();
  if (!fits(experts)) return unsupported("counts of experts do not fit each other");
  return experts;
}

}  // namespace spillway::local
