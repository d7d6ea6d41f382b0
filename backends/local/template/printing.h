// Values as text: Python's str() and repr(), and JSON as Python's json.dumps writes it.
//
// Marks are kept: text that came from outside stays marked, inside quotes too. Reports to the
// interpreter; one thread.
#pragma once

#include "backends/local/template/interpreter.h"
#include "backends/local/template/marked_text.h"
#include "backends/local/template/value.h"

#include <optional>
#include <string>
#include <string_view>

namespace spillway::templates {

// str(value); undefined is nothing at all.
void append_str(Interpreter& in, MarkedText& out, const Value& value);
MarkedText str(Interpreter& in, const Value& value);

// repr(value), as inside a printed list.
void append_repr(Interpreter& in, MarkedText& out, const Value& value);

// The shortest decimal that reads back the same, in Python's form (1.0, 1e+16, nan).
std::string float_text(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // One level's.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// A failure for values that JSON does not know (undefined, functions).
void append_json(Interpreter& in, MarkedText& out, const Value& value, const JsonStyle& style);

}  // namespace spillway::templates
