// Jinja2's expression grammar: a recursive descent, one function a level of precedence.
//
// Works on the stream it is given, on one thread; failures are the stream's.
#pragma once

#include "backends/local/template/syntax.h"
#include "backends/local/template/token_stream.h"

namespace spillway::templates {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  // Never null; after a failure the result means nothing.
  ExpressionPointer expression(bool with_condition = true);

  // As expression, but `a, b` is a tuple.
  ExpressionPointer expression_or_tuple(bool with_condition = true);

  // A chain of filters without an input: `upper | replace("A", "B")`.
  ExpressionPointer filter_chain();

 private:
  using Node = std::unique_ptr<Expression>;
  using Level = ExpressionPointer (ExpressionParser::*)();

  Node node(ExpressionKind kind) const;
  ExpressionPointer done(Node node);
  ExpressionPointer unary(ExpressionKind kind, ExpressionPointer operand);
  ExpressionPointer binary(ExpressionKind kind, ExpressionPointer left, ExpressionPointer right);
  ExpressionPointer arithmetic(Level level, std::initializer_list<std::string_view> operators);

  ExpressionPointer logical_or();
  ExpressionPointer logical_and();
  ExpressionPointer logical_not();
  ExpressionPointer compare();
  std::string comparison_operator();
  ExpressionPointer sum();
  ExpressionPointer concat();
  ExpressionPointer product();
  ExpressionPointer power();
  ExpressionPointer filtered();
  ExpressionPointer signed_primary();
  ExpressionPointer primary();
  ExpressionPointer named();
  ExpressionPointer number();
  ExpressionPointer list();
  ExpressionPointer dict();
  ExpressionPointer parenthesized();
  ExpressionPointer postfix(ExpressionPointer object);
  ExpressionPointer subscript(ExpressionPointer object);
  ExpressionPointer call(ExpressionPointer function);
  ExpressionPointer filter(ExpressionPointer input);
  ExpressionPointer test(ExpressionPointer input);
  void arguments(Expression& node);

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace spillway::templates
