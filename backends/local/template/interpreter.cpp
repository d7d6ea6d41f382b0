#include "backends/local/template/interpreter.h"

#include "backends/local/template/builtins.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"

#include <algorithm>

namespace spillway::templates {
namespace {

constexpr std::size_t kBytesPerUnit = 16;
constexpr std::size_t kUnitsPerItem = 2;  // A value takes 40 bytes.

}  // namespace

Interpreter::Interpreter(const Limits& limits, std::chrono::system_clock::time_point now)
    : limits_(limits), now_(now) {}

Interpreter::~Interpreter() {
  for (const auto& each : namespaces_) each->attributes.clear();
}

MarkedText Interpreter::render(const Body& body,
                               std::vector<std::pair<std::string, Value>> variables) {
  const auto scope = std::make_shared<Scope>(Scope{nullptr, std::move(variables)});
  MarkedText out;
  run(body, scope, out);
  return out;
}

Value Interpreter::fail(std::string what) {
  if (!failed_) failure_ = "line " + std::to_string(line_) + ": " + std::move(what);
  failed_ = true;
  return Value();
}

Value Interpreter::refuse(std::string words) {
  if (!failed_) failure_ = std::move(words);
  failed_ = true;
  return Value();
}

bool Interpreter::spend(std::size_t units) {
  work_ += units;
  if (work_ > limits_.work_max) fail("the template does too much work");
  return !failed_;
}

bool Interpreter::allows_text(std::size_t bytes) {
  if (bytes > limits_.text_bytes_max) fail("the template makes too much text");
  return !failed_;
}

bool Interpreter::allows_items(std::size_t items) {
  if (items > limits_.items_max) fail("the template makes too long a list");
  return !failed_;
}

bool Interpreter::spend_bytes(std::size_t bytes) {
  return allows_text(bytes) && spend(1 + bytes / kBytesPerUnit);
}

bool Interpreter::spend_search(std::size_t text, std::size_t needle) {
  constexpr std::size_t kNeedleBytesPerPass = 64;
  return spend(1 + text / kBytesPerUnit * (1 + needle / kNeedleBytesPerPass));
}

Value Interpreter::list(std::vector<Value> items) {
  if (!allows_items(items.size()) || !spend(1 + kUnitsPerItem * items.size())) return Value();
  Value made = Value::list(std::move(items));
  return made.depth() > kValueDepthMax ? fail("values nest too deeply") : made;
}

Value Interpreter::tuple(std::vector<Value> items) {
  if (!allows_items(items.size()) || !spend(1 + kUnitsPerItem * items.size())) return Value();
  Value made = Value::tuple(std::move(items));
  return made.depth() > kValueDepthMax ? fail("values nest too deeply") : made;
}

Value Interpreter::dict(std::vector<std::pair<Value, Value>> items) {
  if (!allows_items(items.size()) || !spend(1 + kUnitsPerItem * items.size())) return Value();
  Value made = Value::dict(std::move(items));
  return made.depth() > kValueDepthMax ? fail("values nest too deeply") : made;
}

Value Interpreter::name_space(const Arguments& arguments) {
  auto made = std::make_shared<Namespace>();
  for (const Value& source : arguments.positional) {
    const Dict* mapping = source.dict();
    if (!mapping) return fail("namespace() takes mappings");
    for (const auto& [key, value] : mapping->items) {
      made->attributes.emplace_back(std::string(str(*this, key).bytes()), value);
    }
  }
  for (const auto& [name, value] : arguments.named) made->attributes.emplace_back(name, value);
  if (!spend(1 + made->attributes.size())) return Value();
  namespaces_.push_back(made);
  return Value(std::move(made));
}

Interpreter::ScopePointer Interpreter::inside(const ScopePointer& scope) {
  return std::make_shared<Scope>(Scope{scope, {}});
}

void Interpreter::set(const ScopePointer& scope, const std::string& name, Value value) {
  const auto found =
      std::ranges::find(scope->variables, name, &std::pair<std::string, Value>::first);
  if (found == scope->variables.end())
    scope->variables.emplace_back(name, std::move(value));
  else
    found->second = std::move(value);
}

void Interpreter::assign_one(const Target& target, Value value, const ScopePointer& scope) {
  if (target.attribute.empty()) return set(scope, target.name, std::move(value));
  const Value holder = evaluate_name(target.name, scope);
  Namespace* space = holder.name_space();
  if (!space) {
    fail("cannot assign an attribute on something that is not a namespace");
    return;
  }
  for (auto& [name, old] : space->attributes) {
    if (name != target.attribute) continue;
    old = std::move(value);
    return;
  }
  space->attributes.emplace_back(target.attribute, std::move(value));
}

void Interpreter::assign(const std::vector<Target>& targets, const Value& value,
                         const ScopePointer& scope) {
  if (targets.size() == 1) return assign_one(targets[0], value, scope);
  const Value::ListPointer parts = iterate(*this, value);
  if (failed_) return;
  if (parts->items.size() != targets.size()) {
    fail("cannot unpack " + std::to_string(parts->items.size()) + " values into " +
         std::to_string(targets.size()) + " names");
    return;
  }
  for (std::size_t i = 0; i < targets.size(); ++i) assign_one(targets[i], parts->items[i], scope);
}

void Interpreter::emit(const Value& value, MarkedText& out) {
  append_str(*this, out, value);
  allows_text(out.size());
}

Interpreter::Flow Interpreter::run(const Body& body, const ScopePointer& scope, MarkedText& out) {
  for (const Statement& statement : body) {
    const Flow flow = run(statement, scope, out);
    if (failed_ || flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Statement& statement, const ScopePointer& scope,
                                   MarkedText& out) {
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::text:
      if (spend_bytes(statement.name.size()) && allows_text(out.size() + statement.name.size())) {
        out.append(statement.name);
      }
      break;
    case StatementKind::output: emit(evaluate(*statement.expressions[0], scope), out); break;
    case StatementKind::branch: return run_branch(statement, scope, out);
    case StatementKind::loop: return run_loop(statement, scope, out);
    case StatementKind::set:
      assign(statement.targets, evaluate(*statement.expressions[0], scope), scope);
      break;
    case StatementKind::set_block: run_set_block(statement, scope); break;
    case StatementKind::macro: set(scope, statement.name, macro(statement, 0, scope)); break;
    case StatementKind::call_block: run_call_block(statement, scope, out); break;
    case StatementKind::filter_block: run_filter_block(statement, scope, out); break;
    case StatementKind::scope: return run_scope(statement, scope, out);
    case StatementKind::break_loop: return Flow::break_loop;
    case StatementKind::continue_loop: return Flow::continue_loop;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_branch(const Statement& statement, const ScopePointer& scope,
                                          MarkedText& out) {
  for (std::size_t i = 0; i < statement.bodies.size(); ++i) {
    const ExpressionPointer& condition = statement.expressions[i];
    const bool taken = !condition || evaluate(*condition, scope).truthy();
    if (failed_) break;
    if (taken) return run(statement.bodies[i], scope, out);
  }
  return Flow::normal;
}

// The items, less those that the loop's own filter refuses.
Value Interpreter::loop_items(const Statement& statement, const ScopePointer& scope) {
  const Value::ListPointer all = iterate(*this, evaluate(*statement.expressions[0], scope));
  if (failed_) return Value();
  const ExpressionPointer& filter = statement.expressions[1];
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    if (filter) {
      const ScopePointer inner = inside(scope);
      assign(statement.targets, item, inner);
      if (!evaluate(*filter, inner).truthy()) continue;
    }
    if (failed_) return Value();
    kept.push_back(item);
  }
  return list(std::move(kept));
}

Interpreter::Flow Interpreter::run_loop(const Statement& statement, const ScopePointer& scope,
                                        MarkedText& out) {
  const Value items = loop_items(statement, scope);
  if (failed_) return Flow::normal;
  auto state = std::make_shared<Loop>();
  state->items = items.list_pointer();
  if (state->items->items.empty()) return run(statement.bodies[1], inside(scope), out);

  for (; state->index < state->items->items.size(); ++state->index) {
    const ScopePointer inner = inside(scope);
    set(inner, "loop", Value(state));
    assign(statement.targets, state->items->items[state->index], inner);
    const Flow flow = run(statement.bodies[0], inner, out);
    if (!spend(1) || flow == Flow::break_loop) break;
  }
  return Flow::normal;
}

void Interpreter::run_set_block(const Statement& statement, const ScopePointer& scope) {
  MarkedText text;
  run(statement.bodies[0], inside(scope), text);
  Value value(std::move(text));
  if (!statement.expressions.empty())
    value = evaluate_filter(*statement.expressions[0], scope, &value);
  assign(statement.targets, value, scope);
}

void Interpreter::run_filter_block(const Statement& statement, const ScopePointer& scope,
                                   MarkedText& out) {
  MarkedText text;
  run(statement.bodies[0], inside(scope), text);
  const Value value(std::move(text));
  emit(evaluate_filter(*statement.expressions[0], scope, &value), out);
}

void Interpreter::run_call_block(const Statement& statement, const ScopePointer& scope,
                                 MarkedText& out) {
  const Value caller = macro(statement, 1, scope);
  emit(evaluate_call(*statement.expressions[0], scope, &caller), out);
}

Interpreter::Flow Interpreter::run_scope(const Statement& statement, const ScopePointer& scope,
                                         MarkedText& out) {
  const ScopePointer inner = inside(scope);
  for (std::size_t i = 0; i < statement.targets.size(); ++i) {
    assign_one(statement.targets[i], evaluate(*statement.expressions[i], scope), inner);
  }
  return run(statement.bodies[0], inner, out);
}

// A macro sees the names around its definition. It holds them weakly, since they hold it.
Value Interpreter::macro(const Statement& statement, std::size_t first_default,
                         const ScopePointer& scope) {
  const std::weak_ptr<Scope> home = scope;
  Callable made;
  made.name = statement.name.empty() ? "caller" : statement.name;
  made.call = [&statement, first_default, home](Interpreter& in, const Arguments& arguments) {
    const ScopePointer around = home.lock();
    if (!around) return in.fail("a macro was called outside the block that defines it");
    return in.call_macro(statement, first_default, around, arguments);
  };
  return Value(std::move(made));
}

Value Interpreter::call_macro(const Statement& statement, std::size_t first_default,
                              const ScopePointer& home, const Arguments& arguments) {
  if (++call_depth_ > limits_.call_depth_max) fail("macros call each other too deeply");
  MarkedText text;
  if (!failed_) {
    const int line = line_;
    const ScopePointer scope = inside(home);
    bind(statement, first_default, scope, arguments);
    run(statement.bodies[0], scope, text);
    if (!failed_) line_ = line;
  }
  --call_depth_;
  return Value(std::move(text));
}

void Interpreter::bind(const Statement& statement, std::size_t first_default,
                       const ScopePointer& scope, const Arguments& arguments) {
  for (std::size_t i = 0; i < statement.targets.size(); ++i) {
    const std::string& name = statement.targets[i].name;
    const ExpressionPointer& fallback = statement.expressions[first_default + i];
    if (const Value* given = arguments.find(i, name))
      set(scope, name, *given);
    else if (fallback)
      set(scope, name, evaluate(*fallback, scope));
    else
      set(scope, name, Value(Undefined{name}));
  }
  std::vector<Value> rest;
  for (std::size_t i = statement.targets.size(); i < arguments.positional.size(); ++i) {
    rest.push_back(arguments.positional[i]);
  }
  std::vector<std::pair<Value, Value>> named;
  for (const auto& [name, value] : arguments.named) {
    const bool is_parameter =
        std::ranges::any_of(statement.targets, [&](const Target& t) { return t.name == name; });
    if (name == "caller")
      set(scope, name, value);
    else if (!is_parameter)
      named.emplace_back(Value(name), value);
  }
  set(scope, "varargs", tuple(std::move(rest)));
  set(scope, "kwargs", dict(std::move(named)));
}

}  // namespace spillway::templates
