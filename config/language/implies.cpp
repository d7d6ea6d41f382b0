#include "config/language/implies.h"

#include "config/language/program.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace spillway::language {
namespace {

constexpr std::size_t kNodesMax = 120;  // Thirty comparisons.
constexpr double kInfinite = std::numeric_limits<double>::infinity();

bool has_facts(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op == Op::fact) return true;
  return (node.left >= 0 && has_facts(tree, node.left)) ||
         (node.right >= 0 && has_facts(tree, node.right));
}

class NoFacts final : public FactSource {
 public:
  double number(const FactRef&) const override { return 0.0; }
  std::string_view text(const FactRef&) const override { return ""; }
};

// Of what is reckoned without any fact, such as -1.
std::optional<double> number_of(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op == Op::literal) return node.number;
  if (node.op < Op::negate || node.op > Op::divide) return std::nullopt;
  const auto left = number_of(tree, node.left);
  if (node.op == Op::negate) return left ? std::optional(-*left) : std::nullopt;
  const auto right = number_of(tree, node.right);
  if (!left || !right) return std::nullopt;
  switch (node.op) {
    case Op::add: return *left + *right;
    case Op::subtract: return *left - *right;
    case Op::multiply: return *left * *right;
    default: return *left / *right;
  }
}

Range domain_of(const FactRef& fact) {
  switch (fact.fact) {
    case Fact::budget_left:
    case Fact::kv_free:
    case Fact::quality: return {fact, 0.0, 1.0};
    default: break;
  }
  if (fact.fact == Fact::time) return {fact, 0.0, 86'400.0, true, false};
  // Time may have run out.
  if (fact.fact == Fact::deadline_left) return {fact, -kInfinite, kInfinite};
  return {fact};
}

Op mirrored(Op op) {
  switch (op) {
    case Op::less: return Op::greater;
    case Op::less_equal: return Op::greater_equal;
    case Op::greater: return Op::less;
    case Op::greater_equal: return Op::less_equal;
    default: return op;
  }
}

// The range of `fact < value` and its like.
std::optional<Range> range_of(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op < Op::less || node.op > Op::equal) return std::nullopt;
  const bool turned = tree[node.right].op == Op::fact;
  const Node& asked = tree[turned ? node.right : node.left];
  if (asked.op != Op::fact || asked.type == Type::text || asked.type == Type::boolean)
    return std::nullopt;
  const auto value = number_of(tree, turned ? node.left : node.right);
  if (!value || std::isnan(*value)) return std::nullopt;
  Range range = domain_of(asked.fact);
  const Op op = turned ? mirrored(node.op) : node.op;
  const bool from_above = op == Op::less || op == Op::less_equal || op == Op::equal;
  const bool from_below = op == Op::greater || op == Op::greater_equal || op == Op::equal;
  if (from_above && *value <= range.high) {
    range.high = *value;
    range.with_high = op != Op::less;
  }
  if (from_below && *value >= range.low) {
    range.low = *value;
    range.with_low = op != Op::greater;
  }
  return range;
}

std::optional<Choice> choice_of(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op != Op::equal && node.op != Op::not_equal && node.op != Op::in) return std::nullopt;
  const bool turned = tree[node.left].op == Op::literal && node.op != Op::in;
  const Node& asked = tree[turned ? node.right : node.left];
  if (asked.op != Op::fact || asked.type != Type::text) return std::nullopt;
  Choice choice{.fact = asked.fact, .texts = {}, .not_ = node.op == Op::not_equal};
  for (const int item : node.items) choice.texts.push_back(tree[item].text);
  if (node.op == Op::in) return choice;
  const Node& value = tree[turned ? node.left : node.right];
  if (value.op != Op::literal) return std::nullopt;
  choice.texts.push_back(value.text);
  return choice;
}

// The atoms of a conjunction, whose ranges may leave nothing between them.
void collect_ranges(const Tree& tree, int at, std::vector<Range>& ranges) {
  if (tree[at].op == Op::both) {
    collect_ranges(tree, tree[at].left, ranges);
    collect_ranges(tree, tree[at].right, ranges);
  } else if (const auto range = range_of(tree, at)) {
    ranges.push_back(*range);
  }
}

bool contradicts_itself(const Tree& tree, int at) {
  std::vector<Range> ranges;
  collect_ranges(tree, at, ranges);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    Range common = ranges[i];
    for (const Range& other : ranges) {
      if (other.fact != common.fact) continue;
      if (!common.within({common.fact, other.low, kInfinite, other.with_low, true})) {
        common.low = other.low;
        common.with_low = other.with_low;
      }
      if (!common.within({common.fact, -kInfinite, other.high, true, other.with_high})) {
        common.high = other.high;
        common.with_high = other.with_high;
      }
    }
    if (common.empty()) return true;
  }
  return false;
}

// Whether a fact is always, or never, within.
std::optional<bool> decided(const Range& range) {
  if (range.empty()) return false;
  if (domain_of(range.fact).within(range)) return true;
  return std::nullopt;
}

std::optional<bool> constant_at(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op == Op::both || node.op == Op::either) {
    const bool ends_it = node.op == Op::either;
    const auto left = constant_at(tree, node.left);
    const auto right = constant_at(tree, node.right);
    if (left == ends_it || right == ends_it) return ends_it;
    if (left && right) return !ends_it;
    if (node.op == Op::both && contradicts_itself(tree, at)) return false;
    return std::nullopt;
  }
  if (node.op == Op::not_) {
    const auto inner = constant_at(tree, node.left);
    return inner ? std::optional(!*inner) : std::nullopt;
  }
  if (!has_facts(tree, at)) {
    const Tree part{{tree.nodes.begin(), tree.nodes.begin() + at + 1}};
    return holds(compile(part), NoFacts());
  }
  const auto range = range_of(tree, at);
  return range ? decided(*range) : std::nullopt;
}

int root_of(const Tree& tree) { return static_cast<int>(tree.nodes.size()) - 1; }

}  // namespace

bool Range::within(const Range& other) const {
  const bool above = low > other.low || (low == other.low && (other.with_low || !with_low));
  const bool below = high < other.high || (high == other.high && (other.with_high || !with_high));
  return above && below;
}

std::optional<bool> constant(const Tree& tree) {
  if (tree.nodes.size() > kNodesMax) return std::nullopt;
  return constant_at(tree, root_of(tree));
}

Outline::Outline(Tree tree) : tree_(std::move(tree)) {
  if (tree_.nodes.size() > kNodesMax) return;
  for (int at = 0; at <= root_of(tree_); ++at)
    parts_.push_back({canonical(tree_, at), range_of(tree_, at), choice_of(tree_, at)});
}

// One outline held against another: no pair of their parts is looked at twice.
class Outline::Proof {
 public:
  Proof(const Outline& one, const Outline& other, std::size_t& steps_left)
      : one_(one),
        other_(other),
        steps_left_(steps_left),
        known_(one.parts_.size() * other.parts_.size(), Known::nothing) {}

  bool implies(int a, int b) {
    Known& known =
        known_[static_cast<std::size_t>(a) * other_.parts_.size() + static_cast<std::size_t>(b)];
    if (known == Known::nothing) known = look_at(a, b) ? Known::yes : Known::no;
    return known == Known::yes;
  }

 private:
  enum class Known : std::uint8_t { nothing, no, yes };

  bool spend(std::size_t steps) {
    const bool enough = steps <= steps_left_;
    steps_left_ -= std::min(steps, steps_left_);
    return enough;
  }

  bool look_at(int a, int b) {
    if (!spend(1)) return false;
    const Node& from = one_.tree_[a];
    const Node& to = other_.tree_[b];
    if (from.op == Op::either) return implies(from.left, b) && implies(from.right, b);
    if (to.op == Op::both) return implies(a, to.left) && implies(a, to.right);
    if (from.op == Op::both && (implies(from.left, b) || implies(from.right, b))) return true;
    if (to.op == Op::either) return implies(a, to.left) || implies(a, to.right);
    return from.op != Op::both && part_implies(one_.parts_[static_cast<std::size_t>(a)],
                                               other_.parts_[static_cast<std::size_t>(b)]);
  }

  bool part_implies(const Part& one, const Part& other) {
    if (one.canonical == other.canonical) return true;
    if (one.range && other.range && one.range->fact == other.range->fact)
      return one.range->within(*other.range);
    if (!one.choice || !other.choice || one.choice->fact != other.choice->fact) return false;
    if (one.choice->not_ || other.choice->not_) return false;
    const auto& few = one.choice->texts;
    const auto& many = other.choice->texts;
    if (!spend(few.size() * many.size())) return false;
    return std::all_of(few.begin(), few.end(), [&](const std::string& text) {
      return std::find(many.begin(), many.end(), text) != many.end();
    });
  }

  const Outline& one_;
  const Outline& other_;
  std::size_t& steps_left_;
  std::vector<Known> known_;  // Of each pair of parts.
};

bool Outline::implies(const Outline& other, std::size_t& steps_left) const {
  if (parts_.empty() || other.parts_.empty() || steps_left == 0) return false;
  return Proof(*this, other, steps_left).implies(root_of(tree_), root_of(other.tree_));
}

bool Outline::implies(const Outline& other) const {
  std::size_t enough = std::numeric_limits<std::size_t>::max();
  return implies(other, enough);
}

std::vector<Choice> choices(const Tree& tree) {
  std::vector<Choice> all;
  for (int at = 0; at <= root_of(tree); ++at) {
    if (auto choice = choice_of(tree, at)) all.push_back(std::move(*choice));
  }
  return all;
}

std::vector<Idle> idle_comparisons(const Tree& tree) {
  std::vector<Idle> all;
  for (int at = 0; at <= root_of(tree); ++at) {
    const auto range = range_of(tree, at);
    const auto always = range ? decided(*range) : std::nullopt;
    if (always) all.push_back({range->fact, *always});
  }
  return all;
}

}  // namespace spillway::language
