#include "config/language/traps.h"

#include <algorithm>
#include <optional>

namespace spillway::language {
namespace {

bool is_infinite_at_times(Fact fact) {
  switch (fact) {
    case Fact::max_tokens:
    case Fact::sla_ttft:
    case Fact::sla_per_token:
    case Fact::predicted_ttft:
    case Fact::predicted_finish: return true;
    default: return false;
  }
}

bool is_zero_at_times(Fact fact) {
  switch (fact) {
    case Fact::prompt_tokens:
    case Fact::max_tokens:
    case Fact::expected_tokens:
    case Fact::sla_ttft:
    case Fact::sla_per_token:
    case Fact::predicted_ttft:
    case Fact::predicted_finish:
    case Fact::ttft_p50:
    case Fact::ttft_p99:
    case Fact::tokens_per_second: return false;
    default: return true;
  }
}

// The first fact that makes it infinite.
std::optional<FactRef> infinite_by(const Tree& tree, int at) {
  if (at < 0) return std::nullopt;
  const Node& node = tree[at];
  if (node.op == Op::fact)
    return is_infinite_at_times(node.fact.fact) ? std::optional(node.fact) : std::nullopt;
  if (node.op == Op::divide) return infinite_by(tree, node.left);
  const auto left = infinite_by(tree, node.left);
  return left ? left : infinite_by(tree, node.right);
}

// The first fact that makes it 0. A sum of what is never negative is 0 where both its parts are.
std::optional<FactRef> zero_by(const Tree& tree, int at) {
  const Node& node = tree[at];
  switch (node.op) {
    case Op::fact:
      return is_zero_at_times(node.fact.fact) ? std::optional(node.fact) : std::nullopt;
    case Op::negate:
    case Op::divide: return zero_by(tree, node.left);
    case Op::add: return zero_by(tree, node.right) ? zero_by(tree, node.left) : std::nullopt;
    case Op::multiply: {
      const auto left = zero_by(tree, node.left);
      return left ? left : zero_by(tree, node.right);
    }
    default: return std::nullopt;
  }
}

bool is_compared(const Tree& tree, const FactRef& fact) {
  return std::any_of(tree.nodes.begin(), tree.nodes.end(), [&](const Node& node) {
    if (node.op < Op::less || node.op > Op::not_equal) return false;
    const auto is_it = [&](int at) { return tree[at].op == Op::fact && tree[at].fact == fact; };
    return is_it(node.left) || is_it(node.right);
  });
}

bool is_asked_for(const Tree& tree, int target) {
  const FactRef available{Fact::available, target}, meets{Fact::meets_sla, target};
  return std::any_of(tree.nodes.begin(), tree.nodes.end(), [&](const Node& node) {
    return node.op == Op::fact && (node.fact == available || node.fact == meets);
  });
}

}  // namespace

std::vector<Trap> traps(const Tree& tree) {
  std::vector<Trap> all;
  const auto add = [&](const std::optional<FactRef>& fact, bool divisor) {
    if (!fact || is_compared(tree, *fact)) return;
    if (!divisor && fact->target >= 0 && is_asked_for(tree, fact->target)) return;
    const Trap trap{*fact, divisor};
    if (std::find(all.begin(), all.end(), trap) == all.end()) all.push_back(trap);
  };
  for (const Node& node : tree.nodes) {
    if (node.op == Op::divide) add(zero_by(tree, node.right), true);
    if (node.op != Op::divide && node.op != Op::subtract) continue;
    const auto left = infinite_by(tree, node.left), right = infinite_by(tree, node.right);
    if (left && right) add(left, false);
  }
  return all;
}

}  // namespace spillway::language
