// A parsed template: statements over expressions, as plain data.
//
// Immutable once parsed, shared by any number of renders on any thread. Nesting is at most
// kSyntaxDepthMax, so that walking and destroying it is safe on any stack.
#pragma once

#include "backends/local/template/value.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spillway::templates {

inline constexpr int kSyntaxDepthMax = 200;

enum class ExpressionKind {
  constant,
  name,
  list,  // operands: items
  tuple,
  dict,       // operands: key, value, key, value…
  attribute,  // operands: object; name: attribute
  subscript,  // operands: object, key
  slice,      // operands: object, begin, end, step; the last three may be null
  call,       // operands: function, arguments…
  filter,     // name; operands: input (null at the head of a filter block), arguments…
  test,       // name; operands: input, arguments…
  negative,
  positive,
  logical_not,
  logical_and,
  logical_or,
  condition,   // operands: value, condition, otherwise (may be null)
  concat,      // a ~ b ~ c
  arithmetic,  // operators: one of + - * / // % **
  compare,     // operands: a, b, c…; operators between them: == != < <= > >= in, not in
};

struct Expression;
using ExpressionPointer = std::unique_ptr<const Expression>;

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 0;
  int depth = 1;
  std::string name;
  Value constant;
  std::vector<std::string> operators;
  std::vector<ExpressionPointer> operands;
  std::vector<std::pair<std::string, ExpressionPointer>> keywords;  // Named arguments.
  ExpressionPointer starred;                                        // *args
  ExpressionPointer double_starred;                                 // **kwargs
};

enum class StatementKind {
  text,       // name: the literal text
  output,     // expressions: one
  branch,     // expressions[i] guards bodies[i]; a null one is `else`
  loop,       // targets; expressions: iterable, filter (may be null); bodies: loop, else
  set,        // targets; expressions: one
  set_block,  // targets: one; expressions: filters (or empty); bodies: one
  macro,      // name; targets: parameters; expressions: their defaults (null for none); bodies: one
  call_block,    // expressions[0]: the call; targets and the other expressions as in macro; bodies:
                 // one
  filter_block,  // expressions: one filter chain; bodies: one
  scope,         // {% with %} and {% generation %}: targets, expressions; bodies: one
  break_loop,
  continue_loop,
};

// A name that is assigned to; with `attribute`, that attribute of a namespace.
struct Target {
  std::string name;
  std::string attribute;
};

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  StatementKind kind = StatementKind::text;
  int line = 0;
  std::string name;
  std::vector<Target> targets;
  std::vector<ExpressionPointer> expressions;
  std::vector<Body> bodies;
};

}  // namespace spillway::templates
