// One rendering of a template: variables, output, and the limits that keep an untrusted template
// harmless.
//
// Made for a single render on one thread. There are no exceptions in here: the first failure is
// kept, every operation after it does nothing and returns an undefined value, and loops end at
// once; whoever started the render looks at `failed()`. Work is counted in units (about one for
// each node visited and for each 16 bytes produced or read), so time and memory are bounded
// whatever the template does.
#pragma once

#include "backends/local/template/syntax.h"
#include "backends/local/template/value.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::templates {

struct Limits {
  std::size_t work_max = 8'000'000;        // Units; about half a second at the very worst.
  std::size_t text_bytes_max = 32U << 20;  // Of the output and of any single string.
  std::size_t items_max = 200'000;         // Of any single list.
  int call_depth_max = 64;                 // Macros inside macros.
};

class Interpreter {
 public:
  struct Scope {
    std::shared_ptr<Scope> parent;
    std::vector<std::pair<std::string, Value>> variables;
  };
  using ScopePointer = std::shared_ptr<Scope>;

  // `now` is what strftime_now() formats.
  Interpreter(const Limits& limits, std::chrono::system_clock::time_point now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Runs the statements with these variables, in order of precedence after the built-in ones.
  MarkedText render(const Body& body, std::vector<std::pair<std::string, Value>> variables);

  bool failed() const { return failed_; }
  const std::string& failure() const {
    return failure_;
  }  // With the line, unless the template raised it itself.

  // For built-in functions.

  // Keeps the first failure. Returns an undefined value for convenience.
  Value fail(std::string what);
  // The template's own refusal (raise_exception): its words alone.
  Value refuse(std::string words);
  // False, with a failure, once the budget is spent.
  bool spend(std::size_t units);
  // As spend, for so many bytes; a string that would become longer than the limit is a failure too.
  bool spend_bytes(std::size_t bytes);
  // As spend, for looking for `needle` bytes in `text` bytes, at the worst.
  bool spend_search(std::size_t text, std::size_t needle);
  // False, with a failure, if a text of so many bytes, or a list of so many items, is too large.
  bool allows_text(std::size_t bytes);
  bool allows_items(std::size_t items);

  Value call(const Value& function, const Arguments& arguments);
  // Checks nesting and size.
  Value list(std::vector<Value> items);
  Value tuple(std::vector<Value> items);
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value name_space(const Arguments& arguments);
  std::chrono::system_clock::time_point now() const { return now_; }

 private:
  enum class Flow { normal, break_loop, continue_loop };

  Flow run(const Body& body, const ScopePointer& scope, MarkedText& out);
  Flow run(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  Flow run_branch(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  Flow run_loop(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  Value loop_items(const Statement& statement, const ScopePointer& scope);
  void run_set_block(const Statement& statement, const ScopePointer& scope);
  void run_filter_block(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  void run_call_block(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  Flow run_scope(const Statement& statement, const ScopePointer& scope, MarkedText& out);
  void emit(const Value& value, MarkedText& out);

  Value macro(const Statement& statement, std::size_t first_default, const ScopePointer& scope);
  Value call_macro(const Statement& statement, std::size_t first_default, const ScopePointer& home,
                   const Arguments& arguments);
  void bind(const Statement& statement, std::size_t first_default, const ScopePointer& scope,
            const Arguments& arguments);

  Value evaluate(const Expression& expression, const ScopePointer& scope);
  Value evaluate_node(const Expression& expression, const ScopePointer& scope);
  Value evaluate_name(const std::string& name, const ScopePointer& scope);
  Value evaluate_dict(const Expression& expression, const ScopePointer& scope);
  Value evaluate_slice(const Expression& expression, const ScopePointer& scope);
  Value evaluate_call(const Expression& expression, const ScopePointer& scope,
                      const Value* caller = nullptr);
  Value evaluate_filter(const Expression& expression, const ScopePointer& scope,
                        const Value* head = nullptr);
  Value evaluate_test(const Expression& expression, const ScopePointer& scope);
  Value evaluate_condition(const Expression& expression, const ScopePointer& scope);
  Value evaluate_concat(const Expression& expression, const ScopePointer& scope);
  Value evaluate_compare(const Expression& expression, const ScopePointer& scope);
  std::vector<Value> evaluate_all(const Expression& expression, const ScopePointer& scope,
                                  std::size_t first);
  Arguments evaluate_arguments(const Expression& expression, const ScopePointer& scope);

  static ScopePointer inside(const ScopePointer& scope);
  static void set(const ScopePointer& scope, const std::string& name, Value value);
  void assign(const std::vector<Target>& targets, const Value& value, const ScopePointer& scope);
  void assign_one(const Target& target, Value value, const ScopePointer& scope);

  Limits limits_;
  std::chrono::system_clock::time_point now_;
  std::size_t work_ = 0;
  int line_ = 0;  // Of the statement or expression being evaluated.
  int call_depth_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  std::string failure_;
  std::vector<std::shared_ptr<Namespace>>
      namespaces_;  // Emptied at the end: they may refer to each other.
};

}  // namespace spillway::templates
