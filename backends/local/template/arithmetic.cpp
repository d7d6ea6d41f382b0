// + - * / // % ** on template values, with Python's rules for signs, division and text.
#include "backends/local/template/builtins.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/text_format.h"

#include <cmath>

namespace spillway::templates {
namespace {

Value mismatch(Interpreter& in, std::string_view op, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b}) {
    if (const Undefined* missing = side->undefined()) {
      return in.fail("'" + missing->name + "' is undefined");
    }
  }
  return in.fail("unsupported operand types for " + std::string(op) + ": '" +
                 std::string(a.type_name()) + "' and '" + std::string(b.type_name()) + "'");
}

// + - * of integers that 64 bits must hold.
Value exact(Interpreter& in, char op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool overflows = op == '+'   ? __builtin_add_overflow(a, b, &result)
                         : op == '-' ? __builtin_sub_overflow(a, b, &result)
                                     : __builtin_mul_overflow(a, b, &result);
  return overflows ? in.fail("a number is too large") : Value(result);
}

// Towards minus infinity, and the remainder that goes with it. Requires: b != 0, no overflow.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

Value integer_power(Interpreter& in, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0)
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (base == 0 || base == 1 || base == -1) {
      return Value(base == -1 && exponent % 2 == 0 ? std::int64_t{1} : base);
    }
    if (__builtin_mul_overflow(result, base, &result)) return in.fail("a number is too large");
  }
  return Value(result);
}

Value integers(Interpreter& in, std::string_view op, std::int64_t a, std::int64_t b) {
  if (op == "+" || op == "-" || op == "*") return exact(in, op[0], a, b);
  if (op == "**") return integer_power(in, a, b);
  if (b == 0) return in.fail("division by zero");
  if (op == "/") return Value(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // The one quotient that can overflow.
    return op == "%" ? Value(std::int64_t{0}) : exact(in, '-', 0, a);
  }
  if (op == "//") return Value(floor_divide(a, b));
  return Value(a - floor_divide(a, b) * b);
}

Value floats(Interpreter& in, std::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "**") return Value(std::pow(a, b));
  if (b == 0) return in.fail("division by zero");
  if (op == "/") return Value(a / b);
  if (op == "//") return Value(std::floor(a / b));
  const double remainder = std::fmod(a, b);
  return Value(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder);
}

// text * n
Value repeated(Interpreter& in, const MarkedText& text, std::int64_t count) {
  MarkedText out;
  for (std::int64_t i = 0; i < count && !text.empty(); ++i) {
    if (!in.spend_bytes(text.size()) || !in.allows_text(out.size() + text.size())) break;
    out.append(text);
  }
  return Value(std::move(out));
}

Value repeated(Interpreter& in, const std::vector<Value>& items, std::int64_t count) {
  std::vector<Value> out;
  for (std::int64_t i = 0; i < count && !items.empty() && in.spend(items.size()); ++i) {
    if (!in.allows_items(out.size() + items.size())) break;
    out.insert(out.end(), items.begin(), items.end());
  }
  return in.list(std::move(out));
}

Value joined(Interpreter& in, const Value& a, const Value& b) {
  if (!in.allows_items(a.items()->size() + b.items()->size())) return Value();
  std::vector<Value> out = *a.items();
  out.insert(out.end(), b.items()->begin(), b.items()->end());
  return a.is_list() ? in.list(std::move(out)) : in.tuple(std::move(out));
}

}  // namespace

Value arithmetic(Interpreter& in, std::string_view op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return floats(in, op, a.as_float(), b.as_float());
    return integers(in, op, a.as_integer(), b.as_integer());
  }
  if (op == "+" && a.text() && b.text()) {
    if (!in.spend_bytes(a.text()->size() + b.text()->size())) return Value();
    MarkedText out = *a.text();
    out.append(*b.text());
    return Value(std::move(out));
  }
  if (op == "+" && a.is_sequence() && b.is_sequence() && a.is_list() == b.is_list()) {
    return joined(in, a, b);
  }
  if (op == "*" && a.is_integer() && !b.is_integer()) return arithmetic(in, op, b, a);
  if (op == "*" && b.is_integer()) {
    if (a.text()) return repeated(in, *a.text(), b.as_integer());
    if (a.is_list()) return repeated(in, *a.items(), b.as_integer());
  }
  if (op == "%" && a.text()) return format_percent(in, *a.text(), b);
  return mismatch(in, op, a, b);
}

Value negated(Interpreter& in, const Value& value) {
  if (value.is_float()) return Value(-value.as_float());
  if (value.is_number()) return integers(in, "-", 0, value.as_integer());
  return mismatch(in, "-", value, value);
}

}  // namespace spillway::templates
