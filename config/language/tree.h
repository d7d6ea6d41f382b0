// An expression as a tree: parsed, every type checked. Pure; any thread.
//
//   or → and → not → comparison (< <= > >= == !=, in [..], not in [..]; no chains) → + - → * / → -
//
// Numbers, durations and amounts of money add to their own kind; the latter two are scaled by
// numbers, and divided by their own kind give a number. Texts and conditions are compared with ==
// and != alone. A text has at most 4,096 bytes and 16 levels of parentheses.
#pragma once

#include "config/language/fact.h"
#include "config/language/token.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::language {

enum class Op : std::uint8_t {
  literal,
  fact,
  negate,
  add,
  subtract,
  multiply,
  divide,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  not_equal,
  in,
  both,    // and
  either,  // or
  not_,
};

struct Node {
  Op op = Op::literal;
  Type type = Type::boolean;
  double number = 0.0;    // Literal that is no text.
  std::string text = {};  // Literal text.
  FactRef fact = {};
  int left = -1;  // In Tree::nodes.
  int right = -1;
  std::vector<int> items = {};  // Of `in`: literals.
};

struct Tree {
  std::vector<Node> nodes;  // Children stand before their parents; the last one is the root.
  const Node& root() const { return nodes.back(); }
  const Node& operator[](int i) const { return nodes[static_cast<std::size_t>(i)]; }
};

// Requires a condition: what it comes to is true or false.
std::variant<Tree, Mistake> parse(std::string_view text, const Targets& targets);

// "predicted_ttft(local)" or "class".
std::variant<FactRef, Mistake> parse_fact(std::string_view text, const Targets& targets);

// One literal of that type, e.g. "800ms"; a text may stand without quotes.
std::variant<Node, Mistake> parse_literal(std::string_view text, Type type);

// The same for the same tree, however it was spaced and quoted.
std::string canonical(const Tree& tree, int at);

}  // namespace spillway::language
