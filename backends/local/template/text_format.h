// "%s and %d" % values, and "{} and {name}".format(…): the parts of Python's formatting that
// templates use.
//
// Marks are kept. Reports to the interpreter; one thread.
#pragma once

#include "backends/local/template/interpreter.h"
#include "backends/local/template/marked_text.h"
#include "backends/local/template/value.h"

namespace spillway::templates {

// %s %r %d %i %f %x and %%, with width and precision; a tuple is several values, a dict serves
// %(name)s.
Value format_percent(Interpreter& in, const MarkedText& pattern, const Value& values);

// {}, {0}, {name}, each with an optional width and precision such as {:.2f}; {{ and }}.
Value format_braces(Interpreter& in, const MarkedText& pattern, const Arguments& values);

}  // namespace spillway::templates
