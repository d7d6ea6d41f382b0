// The values that a template computes with: Python's, as far as chat templates use them.
//
// Values are cheap to copy (containers and strings are shared and immutable) and belong to one
// render on one thread; those made before it (the messages) may be shared between threads. Two
// things do change: a namespace() and a loop. Containers know how deeply they nest, so that a
// hostile template cannot build one whose destruction overflows the stack: whoever makes one checks
// `depth()` against kValueDepthMax.
#pragma once

#include "backends/local/template/marked_text.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace spillway::templates {

class Value;
class Interpreter;
struct Arguments;

inline constexpr int kValueDepthMax = 100;

struct Undefined {
  std::string name;  // What was looked up, for the error message.
};

struct None {};

struct List {
  std::vector<Value> items;
  int depth = 1;
};

// Keeps insertion order, as Python's dict does.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;

  const Value* find(std::string_view key) const;  // Null if there is no such string key.
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

// What `loop` is inside a for block.
struct Loop {
  std::shared_ptr<const List> items;
  std::size_t index = 0;
};

// A macro, a global function or a method with its object.
struct Callable {
  std::string name;
  std::function<Value(Interpreter&, const Arguments&)> call;
  int depth = 1;
};

class Value {
 public:
  using Text = std::shared_ptr<const MarkedText>;
  using ListPointer = std::shared_ptr<const List>;
  struct Tuple {
    ListPointer list;
  };
  using DictPointer = std::shared_ptr<const Dict>;

  Value() : data_(Undefined{}) {}
  explicit Value(Undefined undefined) : data_(std::move(undefined)) {}
  explicit Value(None) : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(std::int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(MarkedText text) : data_(std::make_shared<const MarkedText>(std::move(text))) {}
  explicit Value(std::string text) : Value(MarkedText(std::move(text))) {}
  explicit Value(const char*) = delete;
  explicit Value(Callable callable)
      : data_(std::make_shared<const Callable>(std::move(callable))) {}
  explicit Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<Loop> value) : data_(std::move(value)) {}

  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value dict(std::vector<std::pair<Value, Value>> items);  // Keys must differ.

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_text() const { return std::holds_alternative<Text>(data_); }
  bool is_list() const { return std::holds_alternative<ListPointer>(data_); }
  bool is_tuple() const { return std::holds_alternative<Tuple>(data_); }
  bool is_sequence() const { return is_list() || is_tuple(); }
  bool is_dict() const { return std::holds_alternative<DictPointer>(data_); }

  // Null if the value is of another type.
  const Undefined* undefined() const { return std::get_if<Undefined>(&data_); }
  const MarkedText* text() const;
  const std::vector<Value>* items() const;  // Of a list or tuple.
  const Dict* dict() const;
  Namespace* name_space() const;
  Loop* loop() const;
  const Callable* callable() const;

  // Requires: is_number(). Booleans are 0 and 1.
  std::int64_t as_integer() const;
  double as_float() const;
  bool as_bool() const { return std::get<bool>(data_); }

  ListPointer list_pointer() const;  // Of a list or tuple.

  // Python's truth.
  bool truthy() const;

  // How deeply containers nest; 0 for anything else.
  int depth() const;

  // "str", "int", "dict" and so on, for messages.
  std::string_view type_name() const;

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, Text, ListPointer, Tuple, DictPointer,
               std::shared_ptr<Namespace>, std::shared_ptr<Loop>, std::shared_ptr<const Callable>>
      data_;
};

// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at `position` or called `name`; null if it was not given.
  const Value* find(std::size_t position, std::string_view name) const;
};

}  // namespace spillway::templates
