#include "config/language/tree.h"

#include <array>
#include <charconv>

namespace spillway::language {
namespace {

constexpr std::array<std::string_view, 17> kNames{
    "", "", "-", "+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "in", "and", "or", "not"};

std::string literal(const Node& node) {
  if (node.type == Type::text) return "'" + node.text + "'";
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), node.number).ptr;
  return {text.data(), end};
}

}  // namespace

std::string canonical(const Tree& tree, int at) {
  const Node& node = tree[at];
  if (node.op == Op::literal) return literal(node);
  if (node.op == Op::fact)
    return std::string(row_of(node.fact.fact).word) + "(" + std::to_string(node.fact.target) + ")";
  std::string text = "(";
  text += kNames[static_cast<std::size_t>(node.op)];
  text += " " + canonical(tree, node.left);
  if (node.right >= 0) text += " " + canonical(tree, node.right);
  for (const int item : node.items) text += " " + canonical(tree, item);
  return text + ")";
}

}  // namespace spillway::language
