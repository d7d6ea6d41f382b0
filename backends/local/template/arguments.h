// Reading a built-in function's arguments, with defaults.
//
// A wrong type is a failure of the render, and the default is returned. One thread.
#pragma once

#include "backends/local/template/interpreter.h"
#include "backends/local/template/value.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::templates {

// Given and neither none nor undefined.
inline const Value* given(const Arguments& arguments, std::size_t position, std::string_view name) {
  const Value* value = arguments.find(position, name);
  return value && !value->is_none() && !value->is_undefined() ? value : nullptr;
}

inline std::int64_t integer_argument(Interpreter& in, const Arguments& arguments,
                                     std::size_t position, std::string_view name,
                                     std::int64_t fallback) {
  const Value* value = given(arguments, position, name);
  if (!value) return fallback;
  if (value->is_integer() || value->is_bool()) return value->as_integer();
  in.fail(std::string(name) + " must be an integer");
  return fallback;
}

inline bool flag_argument(const Arguments& arguments, std::size_t position, std::string_view name) {
  const Value* value = arguments.find(position, name);
  return value && value->truthy();
}

// Null if it is not given.
inline const MarkedText* text_argument(Interpreter& in, const Arguments& arguments,
                                       std::size_t position, std::string_view name) {
  const Value* value = given(arguments, position, name);
  if (!value) return nullptr;
  if (!value->text()) in.fail(std::string(name) + " must be a string");
  return value->text();
}

// The same arguments without the first `count` positional ones.
inline Arguments without_first(const Arguments& arguments, std::size_t count) {
  Arguments rest = arguments;
  const auto end = rest.positional.begin() +
                   static_cast<std::ptrdiff_t>(std::min(count, rest.positional.size()));
  rest.positional.erase(rest.positional.begin(), end);
  return rest;
}

}  // namespace spillway::templates
