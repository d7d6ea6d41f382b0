#include "backends/local/template/printing.h"

#include "backends/local/template/text_tools.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace spillway::templates {
namespace {

// Python prints these in a repr as escapes.
bool is_printable(char32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA1) || code == 0xAD) return false;
  if (code != ' ' && is_python_space(code)) return false;
  if (code >= 0x200B && code <= 0x200F) return false;
  if ((code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F)) return false;
  return !(code >= 0xE000 && code <= 0xF8FF) && code != 0xFEFF && code < 0xE0000;
}

std::string hex_escape(char32_t code) {
  char buffer[16];
  const char* format = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(buffer, sizeof buffer, format, static_cast<unsigned>(code));
  return buffer;
}

std::string quoted(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const auto character = local::utf8::decode(text.substr(at));
    const char32_t code = character.code;
    if (code == static_cast<unsigned char>(quote) || code == '\\') {
      out += {'\\', static_cast<char>(code)};
    } else if (code == '\n' || code == '\r' || code == '\t') {
      out += code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t";
    } else if (!is_printable(code)) {
      out += hex_escape(code);
    } else {
      out += text.substr(at, character.length);
    }
    at += character.length;
  }
  return out + quote;
}

// `(a,)` for a tuple of one; otherwise items between the brackets.
void append_items(Interpreter& in, MarkedText& out, const Value& value) {
  const auto& items = *value.items();
  out.append(value.is_list() ? "[" : "(");
  for (std::size_t i = 0; i < items.size() && !in.failed(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(in, out, items[i]);
  }
  if (value.is_tuple() && items.size() == 1) out.append(",");
  out.append(value.is_list() ? "]" : ")");
}

void append_entries(Interpreter& in, MarkedText& out, const Dict& mapping) {
  out.append("{");
  for (std::size_t i = 0; i < mapping.items.size() && !in.failed(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(in, out, mapping.items[i].first);
    out.append(": ");
    append_repr(in, out, mapping.items[i].second);
  }
  out.append("}");
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto written =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::size_t digits_at = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + digits_at, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

void append_repr(Interpreter& in, MarkedText& out, const Value& value) {
  const MarkedText* text = value.text();
  if (!text) return append_str(in, out, value);
  if (!in.spend_bytes(text->size()) || !in.allows_text(out.size())) return;
  out.append(quoted(text->bytes()), text->has_input());
}

void append_str(Interpreter& in, MarkedText& out, const Value& value) {
  const MarkedText* text = value.text();
  if (!in.spend_bytes(text ? text->size() : 0)) return;
  if (text) {
    if (in.allows_text(out.size() + text->size())) out.append(*text);
  } else if (value.is_none()) {
    out.append("None");
  } else if (value.is_bool()) {
    out.append(value.as_bool() ? "True" : "False");
  } else if (value.is_integer()) {
    out.append(std::to_string(value.as_integer()));
  } else if (value.is_float()) {
    out.append(float_text(value.as_float()));
  } else if (value.is_sequence()) {
    append_items(in, out, value);
  } else if (const Dict* mapping = value.dict()) {
    append_entries(in, out, *mapping);
  } else if (!value.is_undefined()) {
    out.append("<" + std::string(value.type_name()) + ">");
  }
}

MarkedText str(Interpreter& in, const Value& value) {
  MarkedText out;
  append_str(in, out, value);
  return out;
}

}  // namespace spillway::templates
