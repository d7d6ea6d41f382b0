// What Python's operators do with template values.
//
// Pure but for the interpreter they report failures and work to; one thread. After a failure
// results mean nothing.
#pragma once

#include "backends/local/template/interpreter.h"
#include "backends/local/template/value.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::templates {

bool equal(Interpreter& in, const Value& a, const Value& b);

// Negative, zero or positive; a failure if Python would not order the two.
int compare(Interpreter& in, const Value& a, const Value& b);

// a in b
bool contains(Interpreter& in, const Value& container, const Value& item);

// `op` is one of + - * / // % **.
Value arithmetic(Interpreter& in, std::string_view op, const Value& a, const Value& b);
Value negated(Interpreter& in, const Value& value);

// object.name: a method or attribute first, then an entry; undefined if there is neither.
Value attribute(Interpreter& in, const Value& object, const std::string& name);

// object[key]: an entry first, then an attribute.
Value subscript(Interpreter& in, const Value& object, const Value& key);

struct SliceBounds {
  std::optional<std::int64_t> begin, end, step;
};
Value slice(Interpreter& in, const Value& object, const SliceBounds& bounds);

// What a for loop sees: items, a mapping's keys, a text's characters, nothing for undefined. Null
// after a failure.
Value::ListPointer iterate(Interpreter& in, const Value& value);

// Python's len(); nothing if the value has none.
std::optional<std::int64_t> length_of(Interpreter& in, const Value& value);

}  // namespace spillway::templates
