// Jinja2's filters on text and numbers.
#include "backends/local/template/arguments.h"
#include "backends/local/template/builtins.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"
#include "backends/local/template/text_format.h"
#include "backends/local/template/text_tools.h"

#include <charconv>
#include <cmath>
#include <unordered_map>

namespace spillway::templates {
namespace {

using CaseFunction = std::string (*)(std::string_view);

Value in_case(Interpreter& in, const Value& value, CaseFunction change) {
  const MarkedText text = str(in, value);
  return Value(text.with_bytes(change(text.bytes())));
}

Value upper(Interpreter& in, const Value& value, const Arguments&) {
  return in_case(in, value, to_upper);
}
Value lower(Interpreter& in, const Value& value, const Arguments&) {
  return in_case(in, value, to_lower);
}
Value capitalize(Interpreter& in, const Value& value, const Arguments&) {
  return in_case(in, value, to_capitalized);
}

// Unlike str.title(), only these begin a new word.
std::string jinja_title(std::string_view text) {
  std::string out;
  bool begins = true;
  for (const char c : text) {
    const std::string_view one(&c, 1);
    out += begins ? to_upper(one) : to_lower(one);
    begins = std::string_view("-({[< \t\n\r\f\v").find(c) != std::string_view::npos;
  }
  return out;
}

Value title(Interpreter& in, const Value& value, const Arguments&) {
  return in_case(in, value, jinja_title);
}

Value as_text(Interpreter& in, const Value& value, const Arguments&) {
  return Value(str(in, value));
}

Value trim(Interpreter& in, const Value& value, const Arguments& arguments) {
  const MarkedText* set = text_argument(in, arguments, 0, "chars");
  const std::string_view characters = set ? set->bytes() : std::string_view();
  return Value(stripped(str(in, value), Side::both, set ? &characters : nullptr));
}

Value replace(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Builtin method = find_text_method("replace");
  return method(in, Value(str(in, value)), arguments);
}

Value indent(Interpreter& in, const Value& value, const Arguments& arguments) {
  MarkedText indention;
  const Value* width = given(arguments, 0, "width");
  if (width && width->text())
    indention = *width->text();
  else {
    const std::int64_t spaces = integer_argument(in, arguments, 0, "width", 4);
    if (spaces > 1'000) return in.fail("an indentation is too wide");
    indention =
        MarkedText(std::string(static_cast<std::size_t>(std::max<std::int64_t>(spaces, 0)), ' '));
  }
  MarkedText text = str(in, value);
  text.append("\n");  // As Jinja2 does it, so that a last empty line counts.
  const bool blank = flag_argument(arguments, 2, "blank");
  MarkedText out;
  bool is_first = true;
  for (const MarkedText& line : lines_of(text, false)) {
    const bool indents = is_first ? flag_argument(arguments, 1, "first") : blank || !line.empty();
    if (!is_first) out.append("\n");
    if (indents) out.append(indention);
    out.append(line);
    is_first = false;
    if (!in.spend_bytes(indention.size() + line.size()) || !in.allows_text(out.size())) break;
  }
  return Value(std::move(out));
}

Value escape(Interpreter& in, const Value& value, const Arguments&) {
  MarkedText text = str(in, value);
  constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
  for (const auto& [character, entity] : kEntities) {
    if (!in.spend_bytes(text.size() * entity.size())) return Value();
    text = replaced(text, character, MarkedText(std::string(entity), text.has_input()), -1);
  }
  return Value(std::move(text));
}

Value format(Interpreter& in, const Value& value, const Arguments& arguments) {
  return format_percent(in, str(in, value), in.tuple(arguments.positional));
}

Value tojson(Interpreter& in, const Value& value, const Arguments& arguments) {
  JsonStyle style;
  style.ensure_ascii = flag_argument(arguments, 0, "ensure_ascii");
  style.sort_keys = flag_argument(arguments, 3, "sort_keys");
  if (const Value* indent = given(arguments, 1, "indent")) {
    const std::int64_t spaces =
        indent->text() ? 0 : integer_argument(in, arguments, 1, "indent", 0);
    style.indent =
        indent->text()
            ? std::string(indent->text()->bytes())
            : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(spaces, 0, 64)), ' ');
    style.item_separator = ",";
  }
  if (const Value* separators = given(arguments, 2, "separators")) {
    const auto* both = separators->items();
    const bool fits = both && both->size() == 2 && (*both)[0].text() && (*both)[1].text();
    if (!fits) return in.fail("separators must be two strings");
    style.item_separator = (*both)[0].text()->bytes();
    style.key_separator = (*both)[1].text()->bytes();
  }
  MarkedText out;
  append_json(in, out, value, style);
  return Value(std::move(out));
}

Value fallback(Interpreter&, const Value& value, const Arguments& arguments) {
  const bool falls =
      value.is_undefined() || (flag_argument(arguments, 1, "boolean") && !value.truthy());
  if (!falls) return value;
  const Value* other = arguments.find(0, "default_value");
  return other ? *other : Value(MarkedText());
}

// A whole text as a number; nothing if it is none.
template <class T>
std::optional<T> parsed(const MarkedText& text) {
  const MarkedText bare = stripped(text, Side::both);
  std::string_view bytes = bare.bytes();
  if (bytes.starts_with('+')) bytes.remove_prefix(1);
  T number{};
  const auto result = std::from_chars(bytes.data(), bytes.data() + bytes.size(), number);
  if (result.ec != std::errc() || result.ptr != bytes.data() + bytes.size()) return std::nullopt;
  return number;
}

Value to_integer(Interpreter&, const Value& value, const Arguments& arguments) {
  const Value* other = arguments.find(0, "default");
  const Value otherwise = other ? *other : Value(std::int64_t{0});
  if (value.is_float()) {
    const double number = value.as_float();
    return std::isfinite(number) && std::abs(number) < 0x1p63 ? Value(value.as_integer())
                                                              : otherwise;
  }
  if (value.is_number()) return Value(value.as_integer());
  if (!value.text()) return otherwise;
  if (const auto whole = parsed<std::int64_t>(*value.text())) return Value(*whole);
  const auto real = parsed<double>(*value.text());
  const bool fits = real && std::isfinite(*real) && std::abs(*real) < 0x1p63;
  return fits ? Value(static_cast<std::int64_t>(*real)) : otherwise;
}

Value to_float(Interpreter&, const Value& value, const Arguments& arguments) {
  const Value* other = arguments.find(0, "default");
  const Value otherwise = other ? *other : Value(0.0);
  if (value.is_number()) return Value(value.as_float());
  if (!value.text()) return otherwise;
  const auto real = parsed<double>(*value.text());
  return real ? Value(*real) : otherwise;
}

Value absolute(Interpreter& in, const Value& value, const Arguments&) {
  if (!value.is_number()) return in.fail("abs takes a number");
  return compare(in, value, Value(std::int64_t{0})) < 0 ? negated(in, value) : value;
}

// Halves go to the even neighbour, as in Python.
Value round_number(Interpreter& in, const Value& value, const Arguments& arguments) {
  if (!value.is_number()) return in.fail("round takes a number");
  const std::int64_t digits =
      std::clamp<std::int64_t>(integer_argument(in, arguments, 0, "precision", 0), -18, 18);
  const MarkedText* method = text_argument(in, arguments, 1, "method");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.as_float() * scale;
  if (method && method->bytes() == "ceil") return Value(std::ceil(scaled) / scale);
  if (method && method->bytes() == "floor") return Value(std::floor(scaled) / scale);
  return Value(std::nearbyint(scaled) / scale);
}

Value unchanged(Interpreter&, const Value& value, const Arguments&) { return value; }

// Attributes only: unlike object.name this never looks into a dict.
Value attr(Interpreter& in, const Value& value, const Arguments& arguments) {
  const MarkedText* name = text_argument(in, arguments, 0, "name");
  if (!name) return in.fail("attr takes a name");
  if (value.dict() && !find_method(value, name->bytes()))
    return Value(Undefined{std::string(name->bytes())});
  return attribute(in, value, std::string(name->bytes()));
}

}  // namespace

Builtin find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Builtin> kFilters = {
      {"upper", upper},      {"lower", lower},    {"capitalize", capitalize},
      {"title", title},      {"string", as_text}, {"trim", trim},
      {"replace", replace},  {"indent", indent},  {"escape", escape},
      {"e", escape},         {"format", format},  {"tojson", tojson},
      {"default", fallback}, {"d", fallback},     {"int", to_integer},
      {"float", to_float},   {"abs", absolute},   {"round", round_number},
      {"safe", unchanged},   {"attr", attr},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace spillway::templates
