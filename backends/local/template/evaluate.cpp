// The expression half of the interpreter.
#include "backends/local/template/builtins.h"
#include "backends/local/template/interpreter.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"

#include <algorithm>

namespace spillway::templates {
namespace {

constexpr int kEvaluationDepthMax = 1'500;

}  // namespace

Value Interpreter::evaluate(const Expression& expression, const ScopePointer& scope) {
  if (!spend(1)) return Value();
  if (depth_ >= kEvaluationDepthMax) return fail("expressions nest too deeply");
  ++depth_;
  line_ = expression.line;
  Value value = evaluate_node(expression, scope);
  --depth_;
  return value;
}

Value Interpreter::evaluate_node(const Expression& expression, const ScopePointer& scope) {
  const auto operand = [&](std::size_t i) { return evaluate(*expression.operands[i], scope); };
  switch (expression.kind) {
    case ExpressionKind::constant: return expression.constant;
    case ExpressionKind::name: return evaluate_name(expression.name, scope);
    case ExpressionKind::list: return list(evaluate_all(expression, scope, 0));
    case ExpressionKind::tuple: return tuple(evaluate_all(expression, scope, 0));
    case ExpressionKind::dict: return evaluate_dict(expression, scope);
    case ExpressionKind::attribute: return attribute(*this, operand(0), expression.name);
    case ExpressionKind::subscript: {
      const Value object = operand(0);
      return subscript(*this, object, operand(1));
    }
    case ExpressionKind::slice: return evaluate_slice(expression, scope);
    case ExpressionKind::call: return evaluate_call(expression, scope);
    case ExpressionKind::filter: return evaluate_filter(expression, scope);
    case ExpressionKind::test: return evaluate_test(expression, scope);
    case ExpressionKind::negative: return negated(*this, operand(0));
    case ExpressionKind::positive: return operand(0);
    case ExpressionKind::logical_not: return Value(!operand(0).truthy());
    case ExpressionKind::logical_and: {
      Value left = operand(0);
      return left.truthy() ? operand(1) : left;
    }
    case ExpressionKind::logical_or: {
      Value left = operand(0);
      return left.truthy() ? left : operand(1);
    }
    case ExpressionKind::condition: return evaluate_condition(expression, scope);
    case ExpressionKind::concat: return evaluate_concat(expression, scope);
    case ExpressionKind::arithmetic: {
      const Value left = operand(0);
      const Value right = operand(1);
      return failed_ ? Value() : arithmetic(*this, expression.operators[0], left, right);
    }
    case ExpressionKind::compare: return evaluate_compare(expression, scope);
  }
  return Value();
}

Value Interpreter::evaluate_name(const std::string& name, const ScopePointer& scope) {
  for (const Scope* at = scope.get(); at; at = at->parent.get()) {
    for (const auto& [known, value] : at->variables) {
      if (known == name) return value;
    }
  }
  if (auto global = find_global(name)) return std::move(*global);
  return Value(Undefined{name});
}

std::vector<Value> Interpreter::evaluate_all(const Expression& expression,
                                             const ScopePointer& scope, std::size_t first) {
  std::vector<Value> values;
  values.reserve(expression.operands.size() - first);
  for (std::size_t i = first; i < expression.operands.size() && !failed_; ++i) {
    values.push_back(evaluate(*expression.operands[i], scope));
  }
  return values;
}

Value Interpreter::evaluate_dict(const Expression& expression, const ScopePointer& scope) {
  std::vector<std::pair<Value, Value>> items;
  for (std::size_t i = 0; i + 1 < expression.operands.size() && !failed_; i += 2) {
    Value key = evaluate(*expression.operands[i], scope);
    Value value = evaluate(*expression.operands[i + 1], scope);
    const auto same = std::ranges::find_if(
        items, [&](const auto& item) { return equal(*this, item.first, key); });
    if (same != items.end())
      same->second = std::move(value);
    else
      items.emplace_back(std::move(key), std::move(value));
  }
  return dict(std::move(items));
}

Value Interpreter::evaluate_slice(const Expression& expression, const ScopePointer& scope) {
  const Value object = evaluate(*expression.operands[0], scope);
  std::optional<std::int64_t> parts[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const ExpressionPointer& part = expression.operands[i + 1];
    if (!part) continue;
    const Value bound = evaluate(*part, scope);
    if (bound.is_none()) continue;
    if (!bound.is_integer() && !bound.is_bool()) return fail("slice bounds must be integers");
    parts[i] = bound.as_integer();
  }
  return slice(*this, object, {parts[0], parts[1], parts[2]});
}

Arguments Interpreter::evaluate_arguments(const Expression& expression, const ScopePointer& scope) {
  Arguments arguments;
  arguments.positional = evaluate_all(expression, scope, 1);
  for (const auto& [name, value] : expression.keywords) {
    arguments.named.emplace_back(name, evaluate(*value, scope));
  }
  if (expression.starred) {
    const auto more = iterate(*this, evaluate(*expression.starred, scope));
    if (more && spend(more->items.size())) {
      arguments.positional.insert(arguments.positional.end(), more->items.begin(),
                                  more->items.end());
    }
  }
  if (expression.double_starred) {
    const Value more = evaluate(*expression.double_starred, scope);
    if (!more.dict())
      fail("** takes a mapping");
    else {
      for (const auto& [name, value] : more.dict()->items) {
        arguments.named.emplace_back(std::string(str(*this, name).bytes()), value);
      }
    }
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& expression, const ScopePointer& scope,
                                 const Value* caller) {
  const Expression& callee = *expression.operands[0];
  if (callee.kind == ExpressionKind::attribute) {  // A method call needs no function value.
    const Value object = evaluate(*callee.operands[0], scope);
    if (failed_) return Value();
    if (const Builtin method = find_method(object, callee.name)) {
      const Arguments arguments = evaluate_arguments(expression, scope);
      line_ = expression.line;
      return failed_ ? Value() : method(*this, object, arguments);
    }
    const Value function = attribute(*this, object, callee.name);
    Arguments arguments = evaluate_arguments(expression, scope);
    if (caller) arguments.named.emplace_back("caller", *caller);
    return call(function, arguments);
  }
  const Value function = evaluate(callee, scope);
  Arguments arguments = evaluate_arguments(expression, scope);
  if (caller) arguments.named.emplace_back("caller", *caller);
  line_ = expression.line;
  return call(function, arguments);
}

Value Interpreter::call(const Value& function, const Arguments& arguments) {
  if (failed_) return Value();
  if (const Undefined* missing = function.undefined())
    return fail("'" + missing->name + "' is undefined");
  const Callable* callable = function.callable();
  if (!callable)
    return fail("a value of type " + std::string(function.type_name()) + " cannot be called");
  return callable->call(*this, arguments);
}

// `head` stands in for the missing input of a filter block's chain.
Value Interpreter::evaluate_filter(const Expression& expression, const ScopePointer& scope,
                                   const Value* head) {
  const ExpressionPointer& source = expression.operands[0];
  Value input;
  if (!source)
    input = head ? *head : Value();
  else if (head)
    input = evaluate_filter(*source, scope, head);
  else
    input = evaluate(*source, scope);
  const Arguments arguments = evaluate_arguments(expression, scope);
  line_ = expression.line;
  return failed_ ? Value() : apply_filter(*this, expression.name, input, arguments);
}

Value Interpreter::evaluate_test(const Expression& expression, const ScopePointer& scope) {
  const Value input = evaluate(*expression.operands[0], scope);
  const Arguments arguments = evaluate_arguments(expression, scope);
  return failed_ ? Value() : Value(apply_test(*this, expression.name, input, arguments));
}

Value Interpreter::evaluate_condition(const Expression& expression, const ScopePointer& scope) {
  const bool chosen = evaluate(*expression.operands[1], scope).truthy();
  if (chosen) return evaluate(*expression.operands[0], scope);
  const ExpressionPointer& otherwise = expression.operands[2];
  return otherwise ? evaluate(*otherwise, scope) : Value(Undefined{"the inline if-expression"});
}

Value Interpreter::evaluate_concat(const Expression& expression, const ScopePointer& scope) {
  MarkedText text;
  for (const ExpressionPointer& part : expression.operands) {
    append_str(*this, text, evaluate(*part, scope));
    if (failed_) return Value();
  }
  return spend_bytes(text.size()) ? Value(std::move(text)) : Value();
}

Value Interpreter::evaluate_compare(const Expression& expression, const ScopePointer& scope) {
  Value left = evaluate(*expression.operands[0], scope);
  for (std::size_t i = 0; i < expression.operators.size() && !failed_; ++i) {
    Value right = evaluate(*expression.operands[i + 1], scope);
    if (failed_) return Value();
    const std::string_view op = expression.operators[i];
    bool holds = false;
    if (op == "==")
      holds = equal(*this, left, right);
    else if (op == "!=")
      holds = !equal(*this, left, right);
    else if (op == "in")
      holds = contains(*this, right, left);
    else if (op == "not in")
      holds = !contains(*this, right, left);
    else if (op == "<")
      holds = compare(*this, left, right) < 0;
    else if (op == "<=")
      holds = compare(*this, left, right) <= 0;
    else if (op == ">")
      holds = compare(*this, left, right) > 0;
    else
      holds = compare(*this, left, right) >= 0;
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

}  // namespace spillway::templates
