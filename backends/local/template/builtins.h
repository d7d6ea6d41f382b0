// What templates may call: filters, tests, methods of strings, lists and dicts, and global
// functions.
//
// Names are Jinja2's, behaviour is Python's. Nothing here changes a value or reaches outside the
// render, as in the sandbox that chat templates are written for. One thread; failures go to the
// interpreter.
#pragma once

#include "backends/local/template/interpreter.h"
#include "backends/local/template/value.h"

#include <optional>
#include <string_view>

namespace spillway::templates {

using Builtin = Value (*)(Interpreter& in, const Value& self, const Arguments& arguments);

// value|name(arguments). An unknown name is a failure.
Value apply_filter(Interpreter& in, std::string_view name, const Value& value,
                   const Arguments& arguments);

// value is name(arguments)
bool apply_test(Interpreter& in, std::string_view name, const Value& value,
                const Arguments& arguments);

// Null if values of this type have no such method.
Builtin find_method(const Value& object, std::string_view name);

// range, namespace, dict, raise_exception, strftime_now; nothing if there is no such global.
std::optional<Value> find_global(std::string_view name);

// The tables behind the above, one a file.
Builtin find_text_filter(std::string_view name);
Builtin find_list_filter(std::string_view name);
Builtin find_text_method(std::string_view name);

}  // namespace spillway::templates
