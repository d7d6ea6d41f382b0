// json.dumps, written by hand: templates depend on its exact spacing and escapes.
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace spillway::templates {
namespace {

void append_unit(std::string& out, unsigned unit) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\u%04x", unit);
  out += buffer;
}

void append_escaped(std::string& out, char32_t code) {
  constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
  constexpr std::string_view kNames = "\"\\nrtfb";
  const std::size_t special =
      code < 0x80 ? kSpecial.find(static_cast<char>(code)) : std::string_view::npos;
  if (special != std::string_view::npos) {
    out += {'\\', kNames[special]};
  } else if (code >= 0x10000) {
    append_unit(out, 0xD800 + ((code - 0x10000) >> 10));
    append_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
  } else {
    append_unit(out, code);
  }
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto character = local::utf8::decode(text.substr(at));
    const char32_t code = character.code;
    const bool escapes =
        code < 0x20 || code == '"' || code == '\\' || (ensure_ascii && code >= 0x7F);
    if (escapes && code != 0x7F)
      append_escaped(out, code);
    else
      out += text.substr(at, character.length);
    at += character.length;
  }
  return out + "\"";
}

class JsonPrinter {
 public:
  JsonPrinter(Interpreter& in, MarkedText& out, const JsonStyle& style)
      : in_(in), out_(out), style_(style) {}

  void print(const Value& value, int level) {
    const MarkedText* text = value.text();
    if (!in_.spend_bytes(text ? text->size() : 0) || !in_.allows_text(out_.size())) return;
    if (text)
      out_.append(json_string(text->bytes(), style_.ensure_ascii), text->has_input());
    else if (value.is_none())
      out_.append("null");
    else if (value.is_bool())
      out_.append(value.as_bool() ? "true" : "false");
    else if (value.is_integer())
      out_.append(std::to_string(value.as_integer()));
    else if (value.is_float())
      out_.append(json_float(value.as_float()));
    else if (value.is_sequence())
      print_list(*value.items(), level);
    else if (value.dict())
      print_dict(*value.dict(), level);
    else
      in_.fail("a value of type " + std::string(value.type_name()) + " is not JSON serializable");
  }

 private:
  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_.append("\n");
    for (int i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  void print_list(const std::vector<Value>& items, int level) {
    if (items.empty()) return out_.append("[]");
    out_.append("[");
    for (std::size_t i = 0; i < items.size() && !in_.failed(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      print(items[i], level + 1);
    }
    new_line(level);
    out_.append("]");
  }

  void print_dict(const Dict& mapping, int level) {
    if (mapping.items.empty()) return out_.append("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : mapping.items) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::ranges::stable_sort(entries, [&](const auto* a, const auto* b) {
        return compare(in_, a->first, b->first) < 0;
      });
    }
    out_.append("{");
    for (std::size_t i = 0; i < entries.size() && !in_.failed(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      print_key(entries[i]->first);
      out_.append(style_.key_separator);
      print(entries[i]->second, level + 1);
    }
    new_line(level);
    out_.append("}");
  }

  // JSON's keys are strings: true, null and numbers become such.
  void print_key(const Value& key) {
    if (key.text()) return print(key, 0);
    if (!key.is_none() && !key.is_number()) {
      in_.fail("JSON keys must be strings, numbers, booleans or none");
      return;
    }
    out_.append("\"");
    print(key, 0);
    out_.append("\"");
  }

  Interpreter& in_;
  MarkedText& out_;
  const JsonStyle& style_;
};

}  // namespace

void append_json(Interpreter& in, MarkedText& out, const Value& value, const JsonStyle& style) {
  JsonPrinter(in, out, style).print(value, 0);
}

}  // namespace spillway::templates
