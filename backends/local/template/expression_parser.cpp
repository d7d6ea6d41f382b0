#include "backends/local/template/expression_parser.h"

#include <algorithm>
#include <charconv>

namespace spillway::templates {

ExpressionParser::Node ExpressionParser::node(ExpressionKind kind) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = tokens_.line();
  return made;
}

// Long chains ("a + a + …") nest without recursion here, so depth is counted on the finished node
// too.
ExpressionPointer ExpressionParser::done(Node node) {
  const auto include = [&](const ExpressionPointer& part) {
    if (part) node->depth = std::max(node->depth, part->depth + 1);
  };
  std::ranges::for_each(node->operands, include);
  for (const auto& [name, value] : node->keywords) include(value);
  include(node->starred);
  include(node->double_starred);
  if (node->depth > kSyntaxDepthMax) tokens_.fail("expressions nest too deeply");
  return node;
}

ExpressionPointer ExpressionParser::unary(ExpressionKind kind, ExpressionPointer operand) {
  Node made = node(kind);
  made->operands.push_back(std::move(operand));
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::binary(ExpressionKind kind, ExpressionPointer left,
                                           ExpressionPointer right) {
  Node made = node(kind);
  made->operands.push_back(std::move(left));
  made->operands.push_back(std::move(right));
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::expression(bool with_condition) {
  if (++depth_ > kSyntaxDepthMax) tokens_.fail("expressions nest too deeply");
  ExpressionPointer value = logical_or();
  while (with_condition && tokens_.accept_name("if")) {
    Node made = node(ExpressionKind::condition);
    made->operands.push_back(std::move(value));
    made->operands.push_back(logical_or());
    made->operands.push_back(tokens_.accept_name("else") ? expression() : nullptr);
    value = done(std::move(made));
  }
  --depth_;
  return value;
}

ExpressionPointer ExpressionParser::expression_or_tuple(bool with_condition) {
  ExpressionPointer first = expression(with_condition);
  if (!tokens_.sees(",")) return first;
  Node made = node(ExpressionKind::tuple);
  made->operands.push_back(std::move(first));
  while (tokens_.accept(",")) {
    const TokenKind kind = tokens_.peek().kind;
    const bool ends = kind == TokenKind::block_end || kind == TokenKind::variable_end ||
                      kind == TokenKind::end || tokens_.sees(")") || tokens_.sees_name("in");
    if (ends) break;
    made->operands.push_back(expression(with_condition));
  }
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::filter_chain() {
  ExpressionPointer chain = filter(nullptr);
  while (tokens_.accept("|")) chain = filter(std::move(chain));
  return chain;
}

ExpressionPointer ExpressionParser::logical_or() {
  ExpressionPointer left = logical_and();
  while (tokens_.accept_name("or")) {
    left = binary(ExpressionKind::logical_or, std::move(left), logical_and());
  }
  return left;
}

ExpressionPointer ExpressionParser::logical_and() {
  ExpressionPointer left = logical_not();
  while (tokens_.accept_name("and")) {
    left = binary(ExpressionKind::logical_and, std::move(left), logical_not());
  }
  return left;
}

ExpressionPointer ExpressionParser::logical_not() {
  int count = 0;
  while (tokens_.accept_name("not")) ++count;
  ExpressionPointer value = compare();
  for (; count > 0 && !tokens_.failed(); --count) {
    value = unary(ExpressionKind::logical_not, std::move(value));
  }
  return value;
}

// The operator of a comparison, consumed; empty if there is none.
std::string ExpressionParser::comparison_operator() {
  for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (tokens_.accept(op)) return std::string(op);
  }
  if (tokens_.accept_name("in")) return "in";
  if (tokens_.sees_name("not") && tokens_.peek(1).is(TokenKind::name, "in")) {
    tokens_.next();
    tokens_.next();
    return "not in";
  }
  return {};
}

ExpressionPointer ExpressionParser::compare() {
  ExpressionPointer first = sum();
  std::string op = comparison_operator();
  if (op.empty()) return first;
  Node made = node(ExpressionKind::compare);
  made->operands.push_back(std::move(first));
  for (; !op.empty(); op = comparison_operator()) {
    made->operators.push_back(std::move(op));
    made->operands.push_back(sum());
  }
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::arithmetic(Level level,
                                               std::initializer_list<std::string_view> operators) {
  ExpressionPointer left = (this->*level)();
  while (true) {
    const auto op = std::ranges::find_if(operators, [&](auto o) { return tokens_.sees(o); });
    if (op == operators.end()) return left;
    Node made = node(ExpressionKind::arithmetic);
    tokens_.next();
    made->operators.emplace_back(*op);
    made->operands.push_back(std::move(left));
    made->operands.push_back((this->*level)());
    left = done(std::move(made));
  }
}

ExpressionPointer ExpressionParser::sum() {
  return arithmetic(&ExpressionParser::concat, {"+", "-"});
}

ExpressionPointer ExpressionParser::concat() {
  ExpressionPointer first = product();
  if (!tokens_.sees("~")) return first;
  Node made = node(ExpressionKind::concat);
  made->operands.push_back(std::move(first));
  while (tokens_.accept("~")) made->operands.push_back(product());
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::product() {
  return arithmetic(&ExpressionParser::power, {"*", "/", "//", "%"});
}

ExpressionPointer ExpressionParser::power() {
  return arithmetic(&ExpressionParser::filtered, {"**"});
}

// Filters and tests bind to the whole signed value: -x|abs is (-x)|abs.
ExpressionPointer ExpressionParser::filtered() {
  ExpressionPointer value = signed_primary();
  while (true) {
    if (tokens_.accept("|"))
      value = filter(std::move(value));
    else if (tokens_.accept_name("is"))
      value = test(std::move(value));
    else if (tokens_.sees("("))
      value = call(std::move(value));
    else
      return value;
  }
}

ExpressionPointer ExpressionParser::signed_primary() {
  if (++depth_ > kSyntaxDepthMax) tokens_.fail("expressions nest too deeply");
  ExpressionPointer value;
  if (tokens_.accept("-"))
    value = unary(ExpressionKind::negative, signed_primary());
  else if (tokens_.accept("+"))
    value = unary(ExpressionKind::positive, signed_primary());
  else
    value = primary();
  --depth_;
  return postfix(std::move(value));
}

ExpressionPointer ExpressionParser::primary() {
  Node made = node(ExpressionKind::constant);
  const Token& token = tokens_.peek();
  switch (token.kind) {
    case TokenKind::integer:
    case TokenKind::floating: return number();
    case TokenKind::string: {
      std::string text;
      while (tokens_.peek().kind == TokenKind::string) text += tokens_.next().text;
      made->constant = Value(std::move(text));
      return made;
    }
    case TokenKind::name: return named();
    default: break;
  }
  if (tokens_.accept("(")) return parenthesized();
  if (tokens_.accept("[")) return list();
  if (tokens_.accept("{")) return dict();
  tokens_.fail("unexpected '" + token.text + "'");
  return made;
}

// A variable, or one of the constants that are written like one.
ExpressionPointer ExpressionParser::named() {
  Node made = node(ExpressionKind::constant);
  const Token token = tokens_.next();
  const std::string_view name = token.text;
  if (name == "true" || name == "True")
    made->constant = Value(true);
  else if (name == "false" || name == "False")
    made->constant = Value(false);
  else if (name == "none" || name == "None")
    made->constant = Value(None{});
  else {
    made->kind = ExpressionKind::name;
    made->name = token.text;
  }
  return made;
}

ExpressionPointer ExpressionParser::number() {
  Node made = node(ExpressionKind::constant);
  const Token token = tokens_.next();
  const char* end = token.text.data() + token.text.size();
  if (token.kind == TokenKind::floating) {
    double value = 0;
    std::from_chars(token.text.data(), end, value);
    made->constant = Value(value);
    return made;
  }
  std::int64_t value = 0;
  if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
    tokens_.fail("the number " + token.text + " is too large");
  }
  made->constant = Value(value);
  return made;
}

ExpressionPointer ExpressionParser::parenthesized() {
  if (tokens_.accept(")")) return node(ExpressionKind::tuple);
  ExpressionPointer value = expression_or_tuple();
  tokens_.expect(")");
  return value;
}

ExpressionPointer ExpressionParser::list() {
  Node made = node(ExpressionKind::list);
  while (!tokens_.sees("]") && !tokens_.at_end()) {
    made->operands.push_back(expression());
    if (!tokens_.accept(",")) break;
  }
  tokens_.expect("]");
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::dict() {
  Node made = node(ExpressionKind::dict);
  while (!tokens_.sees("}") && !tokens_.at_end()) {
    made->operands.push_back(expression());
    tokens_.expect(":");
    made->operands.push_back(expression());
    if (!tokens_.accept(",")) break;
  }
  tokens_.expect("}");
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::postfix(ExpressionPointer object) {
  while (true) {
    if (tokens_.accept(".")) {
      const bool is_index = tokens_.peek().kind == TokenKind::integer;
      Node made = node(is_index ? ExpressionKind::subscript : ExpressionKind::attribute);
      made->operands.push_back(std::move(object));
      if (is_index)
        made->operands.push_back(number());
      else
        made->name = tokens_.expect_any_name();
      object = done(std::move(made));
    } else if (tokens_.accept("[")) {
      object = subscript(std::move(object));
    } else if (tokens_.sees("(")) {
      object = call(std::move(object));
    } else {
      return object;
    }
  }
}

// After "[": a key, or begin:end:step with any of them left out.
ExpressionPointer ExpressionParser::subscript(ExpressionPointer object) {
  Node made = node(ExpressionKind::subscript);
  made->operands.push_back(std::move(object));
  made->operands.push_back(tokens_.sees(":") ? nullptr : expression());
  if (tokens_.sees(":")) made->kind = ExpressionKind::slice;
  while (tokens_.accept(":")) {
    const bool is_open = tokens_.sees(":") || tokens_.sees("]");
    made->operands.push_back(is_open ? nullptr : expression());
  }
  const bool is_slice = made->kind == ExpressionKind::slice;
  if (is_slice && made->operands.size() < 4) made->operands.push_back(nullptr);
  if (made->operands.size() > 4) tokens_.fail("a slice has at most three parts");
  tokens_.expect("]");
  return done(std::move(made));
}

ExpressionPointer ExpressionParser::call(ExpressionPointer function) {
  Node made = node(ExpressionKind::call);
  made->operands.push_back(std::move(function));
  arguments(*made);
  return done(std::move(made));
}

// After "|".
ExpressionPointer ExpressionParser::filter(ExpressionPointer input) {
  Node made = node(ExpressionKind::filter);
  made->operands.push_back(std::move(input));
  made->name = tokens_.expect_any_name();
  if (tokens_.sees("(")) arguments(*made);
  return done(std::move(made));
}

// After "is". A single argument needs no parentheses: x is divisibleby 3.
ExpressionPointer ExpressionParser::test(ExpressionPointer input) {
  const bool negated = tokens_.accept_name("not");
  Node made = node(ExpressionKind::test);
  made->operands.push_back(std::move(input));
  made->name = tokens_.expect_any_name();
  const TokenKind kind = tokens_.peek().kind;
  const bool is_word = kind == TokenKind::name && !tokens_.sees_name("else") &&
                       !tokens_.sees_name("or") && !tokens_.sees_name("and") &&
                       !tokens_.sees_name("if") && !tokens_.sees_name("in") &&
                       !tokens_.sees_name("not");
  if (tokens_.sees("("))
    arguments(*made);
  else if (tokens_.sees_name("is"))
    tokens_.fail("tests cannot be chained with 'is'");
  else if (is_word || kind == TokenKind::string || kind == TokenKind::integer ||
           kind == TokenKind::floating || tokens_.sees("[") || tokens_.sees("{")) {
    made->operands.push_back(postfix(primary()));
  }
  ExpressionPointer tested = done(std::move(made));
  return negated ? unary(ExpressionKind::logical_not, std::move(tested)) : std::move(tested);
}

void ExpressionParser::arguments(Expression& node) {
  tokens_.expect("(");
  while (!tokens_.sees(")") && !tokens_.at_end()) {
    if (tokens_.accept("*")) {
      node.starred = expression();
    } else if (tokens_.accept("**")) {
      node.double_starred = expression();
    } else if (tokens_.peek().kind == TokenKind::name &&
               tokens_.peek(1).is(TokenKind::punctuation, "=")) {
      std::string name = tokens_.next().text;
      tokens_.next();
      node.keywords.emplace_back(std::move(name), expression());
    } else {
      node.operands.push_back(expression());
    }
    if (!tokens_.accept(",")) break;
  }
  tokens_.expect(")");
}

}  // namespace spillway::templates
