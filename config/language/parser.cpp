#include "config/language/tree.h"

#include <array>
#include <optional>
#include <utility>

namespace spillway::language {
namespace {

constexpr std::size_t kBytesMax = 4'096;
constexpr int kLevelsMax = 16;
constexpr std::string_view kTooDeep = "nested too deep: at most 16 levels";

struct Spelled {
  std::string_view symbol;
  Op op;
};
constexpr std::array<Spelled, 6> kComparisons{{{"<", Op::less},
                                               {"<=", Op::less_equal},
                                               {">", Op::greater},
                                               {">=", Op::greater_equal},
                                               {"==", Op::equal},
                                               {"!=", Op::not_equal}}};
constexpr std::array<Spelled, 2> kSums{{{"+", Op::add}, {"-", Op::subtract}}};
constexpr std::array<Spelled, 2> kProducts{{{"*", Op::multiply}, {"/", Op::divide}}};

std::string quote(std::string_view text) { return "'" + std::string(text) + "'"; }

bool scales(Type type) { return type == Type::duration || type == Type::money; }

// What two operands of these types come to, if anything.
std::optional<Type> type_of(Op op, Type left, Type right) {
  const bool amounts = left == Type::number || scales(left);
  switch (op) {
    case Op::add:
    case Op::subtract: return amounts && left == right ? std::optional(left) : std::nullopt;
    case Op::multiply:
      if (amounts && right == Type::number) return left;
      if (left == Type::number && scales(right)) return right;
      return std::nullopt;
    case Op::divide:
      if (amounts && right == Type::number) return left;
      return amounts && left == right ? std::optional(Type::number) : std::nullopt;
    case Op::equal:
    case Op::not_equal: return left == right ? std::optional(Type::boolean) : std::nullopt;
    default:
      if (left != right || left == Type::text || left == Type::boolean) return std::nullopt;
      return Type::boolean;
  }
}

std::string cannot(std::string_view symbol, Type left, Type right) {
  std::string message = "`" + std::string(symbol) + "` does not go with " +
                        std::string(name_of(left)) + " and " + std::string(name_of(right));
  const Type other = left == Type::number ? right : left;
  const bool unit = left != right && (left == Type::number || right == Type::number);
  if (unit && other == Type::duration) message += ": write a unit, such as 800ms";
  if (unit && other == Type::money) message += ": write a unit, such as 0.02usd";
  return message;
}

// Each step returns the node's place, or -1 once there is a mistake.
class Parser {
 public:
  Parser(std::vector<Token> tokens, const Targets& targets)
      : tokens_(std::move(tokens)), targets_(targets) {}

  std::variant<Tree, Mistake> run() {
    const int root = either();
    if (root >= 0 && tree_[root].type != Type::boolean) {
      fail(0, "is " + std::string(name_of(tree_[root].type)) +
                  ": an `if` needs a condition, such as " + "queue.tokens > 9000");
    }
    if (!mistake_ && peek().kind != TokenKind::end) fail_at_next("expected `and`, `or` or the end");
    if (mistake_) return std::move(*mistake_);
    return std::move(tree_);
  }

  std::variant<FactRef, Mistake> run_fact() {
    const int root = fact();
    if (!mistake_ && peek().kind != TokenKind::end) fail_at_next("expected one fact");
    if (mistake_) return std::move(*mistake_);
    return tree_[root].fact;
  }

 private:
  const Token& peek() const { return tokens_[next_]; }
  bool is_word(std::string_view word) const {
    return peek().kind == TokenKind::word && peek().text == word;
  }
  bool is_symbol(std::string_view symbol) const {
    return peek().kind == TokenKind::symbol && peek().text == symbol;
  }
  bool take_word(std::string_view word) { return is_word(word) && ++next_; }
  bool take_symbol(std::string_view symbol) { return is_symbol(symbol) && ++next_; }

  int fail(std::size_t at, std::string message) {
    if (!mistake_) mistake_ = Mistake{at, std::move(message)};
    return -1;
  }

  int fail_at_next(std::string message) {
    const Token& token = peek();
    if (token.kind == TokenKind::end) return fail(token.at, message + ", but it ends here");
    if (const std::string number = without_commas(); !number.empty())
      return fail(tokens_[next_ - 1].at, "write the number as " + number);
    return fail(token.at, message + ", found " + quote(token.text));
  }

  // The number meant by 50,000 where the comma is the next token; or nothing.
  std::string without_commas() const {
    if (next_ == 0 || tokens_[next_ - 1].kind != TokenKind::literal) return {};
    std::string number(tokens_[next_ - 1].text);
    const std::size_t digits = number.size();
    for (std::size_t i = next_; i + 1 < tokens_.size() && tokens_[i].text == ","; i += 2) {
      const Token& group = tokens_[i + 1];
      const bool joined = tokens_[i - 1].end == tokens_[i].at && tokens_[i].end == group.at;
      if (!joined || group.type != Type::number || group.text.size() != 3) break;
      number += group.text;
    }
    return number.size() > digits ? number : std::string();
  }

  // `class == batch`: the text on its right has lost its quotes.
  bool lacks_quotes() const {
    if (next_ < 2 || (tokens_[next_ - 1].text != "==" && tokens_[next_ - 1].text != "!="))
      return false;
    const FactRow* const asked = find_fact(tokens_[next_ - 2].text);
    return asked != nullptr && asked->type == Type::text;
  }

  int add(Node node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<int>(tree_.nodes.size()) - 1;
  }

  int join(Op op, Type type, int left, int right = -1) {
    return add({.op = op, .type = type, .left = left, .right = right});
  }

  int condition(int node, std::size_t at, std::string_view word) {
    if (node < 0 || tree_[node].type == Type::boolean) return node;
    return fail(at, "`" + std::string(word) + "` joins conditions; this is " +
                        std::string(name_of(tree_[node].type)));
  }

  int either() { return chain("or", Op::either, &Parser::both); }
  int both() { return chain("and", Op::both, &Parser::negation); }

  int chain(std::string_view word, Op op, int (Parser::*part)()) {
    std::size_t at = peek().at;
    int left = (this->*part)();
    while (left >= 0 && is_word(word)) {
      if (condition(left, at, word) < 0) return -1;
      ++next_;
      at = peek().at;
      const int right = condition((this->*part)(), at, word);
      if (right < 0) return -1;
      left = join(op, Type::boolean, left, right);
    }
    return left;
  }

  int negation() {
    if (!is_word("not")) return comparison();
    if (++levels_ > kLevelsMax) return fail(peek().at, std::string(kTooDeep));
    ++next_;
    const std::size_t at = peek().at;
    const int inner = condition(negation(), at, "not");
    --levels_;
    return inner < 0 ? -1 : join(Op::not_, Type::boolean, inner);
  }

  int comparison() {
    const int left = sum();
    if (left < 0) return -1;
    if (is_word("in") || (is_word("not") && tokens_[next_ + 1].text == "in")) return in(left);
    const auto spelled = take_one_of(kComparisons);
    if (!spelled) return left;
    const Token& symbol = tokens_[next_ - 1];
    const int compared = typed(*spelled, symbol, left, sum());
    for (const Spelled& again : kComparisons) {
      if (compared >= 0 && is_symbol(again.symbol))
        return fail(peek().at, "comparisons do not chain: write a < b and b < c");
    }
    return compared;
  }

  int in(int left) {
    const bool negated = take_word("not");
    const std::size_t at = tokens_[next_++].at;
    if (tree_[left].type == Type::boolean) return fail(at, "a condition is in no list");
    if (!take_symbol("[")) return fail_at_next("expected a list such as ['a', 'b']");
    Node node{.op = Op::in, .type = Type::boolean, .left = left};
    do {
      const std::size_t item_at = peek().at;
      const int item = literal();
      if (item < 0) return -1;
      if (tree_[item].type != tree_[left].type)
        return fail(item_at, "expected " + std::string(name_of(tree_[left].type)) + ", found " +
                                 std::string(name_of(tree_[item].type)));
      node.items.push_back(item);
    } while (take_symbol(","));
    if (!take_symbol("]")) return fail_at_next("expected `,` or `]`");
    const int found = add(std::move(node));
    return negated ? join(Op::not_, Type::boolean, found) : found;
  }

  int sum() { return operations(kSums, &Parser::product); }
  int product() { return operations(kProducts, &Parser::negative); }

  template <std::size_t N>
  int operations(const std::array<Spelled, N>& symbols, int (Parser::*part)()) {
    int left = (this->*part)();
    while (left >= 0) {
      const auto spelled = take_one_of(symbols);
      if (!spelled) break;
      const Token& symbol = tokens_[next_ - 1];
      left = typed(*spelled, symbol, left, (this->*part)());
    }
    return left;
  }

  template <std::size_t N>
  std::optional<Op> take_one_of(const std::array<Spelled, N>& symbols) {
    for (const Spelled& spelled : symbols) {
      if (take_symbol(spelled.symbol)) return spelled.op;
    }
    return std::nullopt;
  }

  int typed(Op op, const Token& symbol, int left, int right) {
    if (left < 0 || right < 0) return -1;
    const auto type = type_of(op, tree_[left].type, tree_[right].type);
    if (!type) return fail(symbol.at, cannot(symbol.text, tree_[left].type, tree_[right].type));
    return join(op, *type, left, right);
  }

  int negative() {
    if (!is_symbol("-")) return operand();
    if (++levels_ > kLevelsMax) return fail(peek().at, std::string(kTooDeep));
    const std::size_t at = peek().at;
    ++next_;
    const int inner = negative();
    --levels_;
    if (inner < 0) return -1;
    const Type type = tree_[inner].type;
    if (type != Type::number && !scales(type))
      return fail(at, "`-` does not go with " + std::string(name_of(type)));
    return join(Op::negate, type, inner);
  }

  int operand() {
    if (peek().kind == TokenKind::literal) return literal();
    if (is_word("true") || is_word("false")) return literal();
    if (peek().kind == TokenKind::word) return fact();
    if (!is_symbol("(")) return fail_at_next("expected a fact or a value");
    if (++levels_ > kLevelsMax) return fail(peek().at, std::string(kTooDeep));
    ++next_;
    const int inner = either();
    --levels_;
    if (inner < 0) return -1;
    return take_symbol(")") ? inner : fail_at_next("expected `)`");
  }

  int literal() {
    const Token& token = peek();
    const bool flag = is_word("true") || is_word("false");
    if (token.kind != TokenKind::literal && !flag)
      return fail_at_next("expected a value; a text stands in quotes");
    ++next_;
    if (flag) return add({.type = Type::boolean, .number = token.text == "true" ? 1.0 : 0.0});
    Node node{.type = token.type, .number = token.number};
    if (token.type == Type::text) node.text = token.text;
    return add(std::move(node));
  }

  int fact() {
    const Token token = peek();
    const FactRow* const row = token.kind == TokenKind::word ? find_fact(token.text) : nullptr;
    if (row == nullptr) return unknown_fact(token);
    ++next_;
    Node node{.op = Op::fact, .type = row->type, .fact = {row->fact, -1}};
    const bool asked = take_symbol("(");
    if (asked && row->of == Of::nothing)
      return fail(token.at, "`" + std::string(row->word) + "` is asked of no target");
    if (!asked && row->of != Of::nothing)
      return fail(token.at, "of which target? Write " + std::string(row->word) + "(NAME)");
    if (asked && !name_target(*row, node.fact)) return -1;
    return add(std::move(node));
  }

  int unknown_fact(const Token& token) {
    if (token.kind != TokenKind::word) return fail_at_next("expected a fact");
    if (lacks_quotes())
      return fail(token.at, "a text stands in quotes: write " + quote(token.text));
    fail(token.at, "there is no fact " + quote(token.text));
    if (mistake_->unknown.empty() && mistake_->at == token.at) {
      mistake_->unknown = token.text;
      for (const FactRow& row : fact_rows()) mistake_->known.emplace_back(row.word);
    }
    return -1;
  }

  bool name_target(const FactRow& row, FactRef& fact) {
    const Token name = peek();
    ++next_;
    const auto number = targets_.number_of(name.text);
    if (!number) {
      fail(name.at, "there is no target " + quote(name.text));
      mistake_->unknown = name.text;
      mistake_->known = targets_.names();
      return false;
    }
    if (row.of == Of::provider && *number == 0) {
      fail(name.at, "`" + std::string(row.word) + "` is known of providers alone");
      return false;
    }
    fact.target = *number;
    if (take_symbol(")")) return true;
    fail_at_next("expected `)`");
    return false;
  }

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  const Targets& targets_;
  Tree tree_;
  int levels_ = 0;
  std::optional<Mistake> mistake_;
};

template <class Run>
auto with_tokens(std::string_view text, const Run& run) -> decltype(run(std::vector<Token>())) {
  if (text.size() > kBytesMax) return Mistake{0, "is longer than 4,096 bytes"};
  auto tokens = tokens_of(text);
  if (auto* mistake = std::get_if<Mistake>(&tokens)) return std::move(*mistake);
  return run(std::get<std::vector<Token>>(std::move(tokens)));
}

}  // namespace

std::variant<Tree, Mistake> parse(std::string_view text, const Targets& targets) {
  return with_tokens(
      text, [&](std::vector<Token> tokens) { return Parser(std::move(tokens), targets).run(); });
}

std::variant<FactRef, Mistake> parse_fact(std::string_view text, const Targets& targets) {
  return with_tokens(text, [&](std::vector<Token> tokens) {
    return Parser(std::move(tokens), targets).run_fact();
  });
}

std::variant<Node, Mistake> parse_literal(std::string_view text, Type type) {
  if (type == Type::text) return Node{.type = type, .text = std::string(text)};
  if (type == Type::boolean && (text == "true" || text == "false"))
    return Node{.type = type, .number = text == "true" ? 1.0 : 0.0};
  const Mistake wrong{0, "expected " + std::string(name_of(type)) + ", found " + quote(text)};
  const auto tokens = tokens_of(text);
  const auto* const found = std::get_if<std::vector<Token>>(&tokens);
  const bool one = found != nullptr && found->size() == 2;
  if (!one || found->front().kind != TokenKind::literal || found->front().type != type)
    return wrong;
  return Node{.type = type, .number = found->front().number};
}

}  // namespace spillway::language
