#include "backends/local/template/text_format.h"

#include "backends/local/template/printing.h"
#include "backends/local/template/text_tools.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace spillway::templates {
namespace {

constexpr int kWidthMax = 1'000;

// [flags][width][.precision][type], as both notations write it.
struct Spec {
  bool left = false;
  bool right = false;
  bool zeros = false;
  bool plus = false;
  int width = 0;
  int precision = -1;
  char type = 's';
};

// Reads a number that a hostile pattern may have made huge.
int read_number(std::string_view text, std::size_t& at) {
  int value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = std::min(kWidthMax, value * 10 + (text[at] - '0'));
  }
  return value;
}

Spec read_spec(std::string_view text, std::size_t& at, char default_type) {
  Spec spec;
  spec.type = default_type;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '-' || c == '<')
      spec.left = true;
    else if (c == '>')
      spec.right = true;
    else if (c == '+')
      spec.plus = true;
    else if (c == '0')
      spec.zeros = true;
    else
      break;
  }
  spec.width = read_number(text, at);
  if (at < text.size() && text[at] == '.') {
    ++at;
    spec.precision = read_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  return spec;
}

std::string fixed_text(double value, int precision) {
  char buffer[400];
  const int digits = std::min(precision < 0 ? 6 : precision, 60);
  const auto written =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, digits);
  return written.ec == std::errc() ? std::string(buffer, written.ptr) : float_text(value);
}

std::string hex_text(std::int64_t value) {
  char buffer[20];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value, 16);
  return {buffer, written.ptr};
}

// The value without its padding.
MarkedText bare(Interpreter& in, const Spec& spec, const Value& value) {
  const bool wants_number = std::string_view("dixf").find(spec.type) != std::string_view::npos;
  if (wants_number && !value.is_number()) {
    in.fail("a number is required, not " + std::string(value.type_name()));
    return {};
  }
  MarkedText out;
  switch (spec.type) {
    case 'd':
    case 'i': out.append(std::to_string(value.as_integer())); break;
    case 'x': out.append(hex_text(value.as_integer())); break;
    case 'f': out.append(fixed_text(value.as_float(), spec.precision)); break;
    case 'r': append_repr(in, out, value); break;
    case 's':
      append_str(in, out, value);
      if (spec.precision >= 0) {
        const auto offsets = character_offsets(out.bytes());
        const std::size_t kept =
            std::min(static_cast<std::size_t>(spec.precision), offsets.size() - 1);
        out = out.between(0, offsets[kept]);
      }
      break;
    default: in.fail(std::string("format type '") + spec.type + "' is not supported"); break;
  }
  if (spec.plus && wants_number && value.as_float() >= 0) {
    MarkedText with_sign("+");
    with_sign.append(out);
    return with_sign;
  }
  return out;
}

void append_formatted(Interpreter& in, MarkedText& out, const Spec& spec, const Value& value) {
  const MarkedText text = bare(in, spec, value);
  const std::size_t length = character_count(text.bytes());
  const std::size_t width = static_cast<std::size_t>(spec.width);
  const std::string padding(width > length ? width - length : 0,
                            spec.zeros && !spec.left ? '0' : ' ');
  if (!in.spend_bytes(text.size() + padding.size()) || !in.allows_text(out.size() + text.size()))
    return;
  if (!spec.left) out.append(padding);
  out.append(text);
  if (spec.left) out.append(padding);
}

}  // namespace

Value format_percent(Interpreter& in, const MarkedText& pattern, const Value& values) {
  const std::string_view bytes = pattern.bytes();
  MarkedText out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < bytes.size() && !in.failed();) {
    const std::size_t percent = std::min(bytes.find('%', at), bytes.size());
    out.append(pattern.between(at, percent));
    at = percent + 1;
    if (percent == bytes.size()) break;
    if (at < bytes.size() && bytes[at] == '%') {
      out.append(pattern.between(at, at + 1));
      ++at;
      continue;
    }
    Value value = values;
    if (at < bytes.size() && bytes[at] == '(') {
      const std::size_t end = std::min(bytes.find(')', at), bytes.size() - 1);
      const Value* named =
          values.dict() ? values.dict()->find(bytes.substr(at + 1, end - at - 1)) : nullptr;
      if (!named) return in.fail("the format names a key that is not there");
      value = *named;
      at = end + 1;
    } else if (values.is_tuple()) {
      if (next >= values.items()->size()) return in.fail("not enough arguments for format string");
      value = (*values.items())[next++];
    }
    const Spec spec = read_spec(bytes, at, '?');
    append_formatted(in, out, spec, value);
  }
  return in.failed() ? Value() : Value(std::move(out));
}

namespace {

// The argument that "{…}" asks for: the next one, one by number, or one by name.
const Value* braces_argument(std::string_view field, std::size_t& next, const Arguments& values) {
  if (field.empty()) return values.find(next++, {});
  std::size_t at = 0;
  const int number = read_number(field, at);
  if (at == field.size()) return values.find(static_cast<std::size_t>(number), {});
  return values.find(SIZE_MAX, field);
}

}  // namespace

Value format_braces(Interpreter& in, const MarkedText& pattern, const Arguments& values) {
  const std::string_view bytes = pattern.bytes();
  MarkedText out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < bytes.size() && !in.failed();) {
    const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.append(pattern.between(at, brace));
    at = brace + 1;
    if (brace == bytes.size()) break;
    if (at < bytes.size() && bytes[at] == bytes[brace]) {
      out.append(pattern.between(brace, at));
      ++at;
      continue;
    }
    const std::size_t end = bytes.find('}', at);
    if (bytes[brace] == '}' || end == std::string_view::npos)
      return in.fail("a brace in a format is alone");
    const std::string_view inside = bytes.substr(at, end - at);
    const std::size_t colon = std::min(inside.find(':'), inside.size());
    const Value* value = braces_argument(inside.substr(0, colon), next, values);
    if (!value) return in.fail("the format asks for an argument that is not there");
    const std::string_view written = inside.substr(std::min(colon + 1, inside.size()));
    std::size_t in_spec = 0;
    Spec spec = read_spec(written, in_spec, value->is_float() && !written.empty() ? 'f' : 's');
    if (spec.type == 's' && !spec.right && !value->is_number()) spec.left = true;
    append_formatted(in, out, spec, *value);
    at = end + 1;
  }
  return in.failed() ? Value() : Value(std::move(out));
}

}  // namespace spillway::templates
