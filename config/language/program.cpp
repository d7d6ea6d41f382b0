#include "config/language/program.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace spillway::language {
namespace {

// parse() allows 16 levels, and at each at most three operands wait for another.
constexpr std::size_t kStack = 64;

Code code_of(Op op, Type operands) {
  const bool text = operands == Type::text;
  switch (op) {
    case Op::negate: return Code::negate;
    case Op::add: return Code::add;
    case Op::subtract: return Code::subtract;
    case Op::multiply: return Code::multiply;
    case Op::divide: return Code::divide;
    case Op::less: return Code::less;
    case Op::less_equal: return Code::less_equal;
    case Op::greater: return Code::greater;
    case Op::greater_equal: return Code::greater_equal;
    case Op::equal: return text ? Code::text_equal : Code::equal;
    case Op::not_equal: return text ? Code::text_not_equal : Code::not_equal;
    default: return Code::not_;
  }
}

class Compiler {
 public:
  explicit Compiler(const Tree& tree) : tree_(tree) {}

  Program run() {
    emit(static_cast<int>(tree_.nodes.size()) - 1);
    return std::move(program_);
  }

 private:
  void add(Code code, std::size_t arg = 0) {
    program_.code.push_back({code, static_cast<std::uint16_t>(arg)});
  }

  template <class Item>
  std::size_t keep(std::vector<Item>& items, const Item& item) {
    const auto found = std::find(items.begin(), items.end(), item);
    if (found != items.end()) return static_cast<std::size_t>(found - items.begin());
    items.push_back(item);
    return items.size() - 1;
  }

  void emit(int at) {
    const Node& node = tree_[at];
    switch (node.op) {
      case Op::literal: return emit_literal(node);
      case Op::fact:
        return add(node.type == Type::text ? Code::fact_text : Code::fact_number,
                   keep(program_.facts, node.fact));
      case Op::in: return emit_in(node);
      case Op::both: return emit_jump(node, Code::unless_jump);
      case Op::either: return emit_jump(node, Code::if_jump);
      default: break;
    }
    emit(node.left);
    if (node.right >= 0) emit(node.right);
    add(code_of(node.op, tree_[node.left].type));
  }

  void emit_literal(const Node& node) {
    if (node.type == Type::text) return add(Code::text, keep(program_.texts, node.text));
    add(Code::number, keep(program_.numbers, node.number));
  }

  void emit_in(const Node& node) {
    emit(node.left);
    const bool text = tree_[node.left].type == Type::text;
    Slice slice;
    slice.begin =
        static_cast<std::uint16_t>(text ? program_.texts.size() : program_.numbers.size());
    for (const int item : node.items) {
      if (text) {
        program_.texts.push_back(tree_[item].text);
      } else {
        program_.numbers.push_back(tree_[item].number);
      }
    }
    slice.end = static_cast<std::uint16_t>(slice.begin + node.items.size());
    program_.lists.push_back(slice);
    add(text ? Code::in_texts : Code::in_numbers, program_.lists.size() - 1);
  }

  void emit_jump(const Node& node, Code jump) {
    emit(node.left);
    const std::size_t place = program_.code.size();
    add(jump);
    emit(node.right);
    program_.code[place].arg = static_cast<std::uint16_t>(program_.code.size());
  }

  const Tree& tree_;
  Program program_;
};

// Without initial values: a fresh stack costs nothing.
struct Cell {
  double number;
  const char* data;
  std::size_t size;

  std::string_view text() const { return {data, size}; }
};

Cell cell(double number) { return {number, nullptr, 0}; }
Cell cell(std::string_view text) { return {0.0, text.data(), text.size()}; }

double apply(Code code, double a, double b) {
  switch (code) {
    case Code::add: return a + b;
    case Code::subtract: return a - b;
    case Code::multiply: return a * b;
    case Code::divide: return a / b;
    case Code::less: return a < b;
    case Code::less_equal: return a <= b;
    case Code::greater: return a > b;
    case Code::greater_equal: return a >= b;
    case Code::equal: return a == b;
    default: return a != b;
  }
}

template <class Item, class Value>
bool lists(const std::vector<Item>& items, const Slice& slice, const Value& value) {
  const auto begin = items.begin() + slice.begin;
  const auto end = items.begin() + slice.end;
  return std::find(begin, end, value) != end;
}

class Machine {
 public:
  Machine(const Program& program, const FactSource& facts) : program_(program), facts_(facts) {}

  bool run() {
    for (std::size_t at = 0; at < program_.code.size();) at = step(at);
    return top_ == 0 || stack_[0].number != 0.0;
  }

 private:
  Cell& top() { return stack_[top_ - 1]; }
  void push(const Cell& cell) {
    assert(top_ < kStack);
    stack_[top_++] = cell;
  }

  std::size_t step(std::size_t at) {
    const Instruction one = program_.code[at];
    switch (one.code) {
      case Code::number: push(cell(program_.numbers[one.arg])); break;
      case Code::text: push(cell(std::string_view(program_.texts[one.arg]))); break;
      case Code::fact_number: push(cell(facts_.number(program_.facts[one.arg]))); break;
      case Code::fact_text: push(cell(facts_.text(program_.facts[one.arg]))); break;
      case Code::negate: top().number = -top().number; break;
      case Code::not_: top().number = top().number == 0.0; break;
      case Code::in_numbers:
        top().number = lists(program_.numbers, program_.lists[one.arg], top().number);
        break;
      case Code::in_texts:
        top().number = lists(program_.texts, program_.lists[one.arg], top().text());
        break;
      case Code::unless_jump: return jump(at, one.arg, false);
      case Code::if_jump: return jump(at, one.arg, true);
      default: binary(one.code);
    }
    return at + 1;
  }

  std::size_t jump(std::size_t at, std::size_t to, bool when) {
    if ((top().number != 0.0) == when) return to;
    --top_;
    return at + 1;
  }

  void binary(Code code) {
    const Cell right = top();
    --top_;
    if (code == Code::text_equal || code == Code::text_not_equal) {
      top().number = (top().text() == right.text()) == (code == Code::text_equal);
    } else {
      top().number = apply(code, top().number, right.number);
    }
  }

  const Program& program_;
  const FactSource& facts_;
  std::array<Cell, kStack> stack_;
  std::size_t top_ = 0;
};

}  // namespace

Program compile(const Tree& tree) { return Compiler(tree).run(); }

bool holds(const Program& program, const FactSource& facts) {
  return program.code.empty() || Machine(program, facts).run();
}

std::variant<Program, Mistake> compile(std::string_view text, const Targets& targets) {
  auto tree = parse(text, targets);
  if (auto* mistake = std::get_if<Mistake>(&tree)) return std::move(*mistake);
  return compile(std::get<Tree>(tree));
}

}  // namespace spillway::language
