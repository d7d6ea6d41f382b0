// Python's str methods, on text that keeps its marks.
#include "backends/local/template/arguments.h"
#include "backends/local/template/builtins.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"
#include "backends/local/template/text_format.h"
#include "backends/local/template/text_tools.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <unordered_map>

namespace spillway::templates {
namespace {

Value strip_side(Interpreter& in, const Value& self, const Arguments& arguments, Side side) {
  const MarkedText* set = text_argument(in, arguments, 0, "chars");
  const std::string_view characters = set ? set->bytes() : std::string_view();
  if (!in.spend_bytes(self.text()->size())) return Value();
  return Value(stripped(*self.text(), side, set ? &characters : nullptr));
}

Value strip(Interpreter& in, const Value& self, const Arguments& arguments) {
  return strip_side(in, self, arguments, Side::both);
}
Value lstrip(Interpreter& in, const Value& self, const Arguments& arguments) {
  return strip_side(in, self, arguments, Side::left);
}
Value rstrip(Interpreter& in, const Value& self, const Arguments& arguments) {
  return strip_side(in, self, arguments, Side::right);
}

// Where the run of characters that are (or are not) white space ends.
std::size_t run_end(std::string_view bytes, std::size_t at, bool of_spaces) {
  while (at < bytes.size()) {
    const auto character = local::utf8::decode(bytes.substr(at));
    if (is_python_space(character.code) != of_spaces) break;
    at += character.length;
  }
  return at;
}

// split() without a separator: runs of white space, none at the ends. `most` < 0: no limit.
std::vector<Value> split_spaces(const MarkedText& text, std::int64_t most) {
  std::vector<Value> parts;
  const std::string_view bytes = text.bytes();
  for (std::size_t at = run_end(bytes, 0, true); at < bytes.size(); --most) {
    const std::size_t end = most == 0 ? bytes.size() : run_end(bytes, at, false);
    parts.emplace_back(text.between(at, end));
    at = run_end(bytes, end, true);
  }
  return parts;
}

std::vector<Value> split_by(const MarkedText& text, std::string_view separator, std::int64_t most) {
  std::vector<Value> parts;
  std::size_t begin = 0;
  for (; most != 0; --most) {
    const std::size_t found = text.bytes().find(separator, begin);
    if (found == std::string_view::npos) break;
    parts.emplace_back(text.between(begin, found));
    begin = found + separator.size();
  }
  parts.emplace_back(text.between(begin, text.size()));
  return parts;
}

std::vector<Value> split_by_from_right(const MarkedText& text, std::string_view separator,
                                       std::int64_t most) {
  std::vector<Value> parts;
  std::size_t end = text.size();
  for (; most != 0 && end >= separator.size(); --most) {
    const std::size_t found = text.bytes().substr(0, end).rfind(separator);
    if (found == std::string_view::npos) break;
    parts.emplace_back(text.between(found + separator.size(), end));
    end = found;
  }
  parts.emplace_back(text.between(0, end));
  std::ranges::reverse(parts);
  return parts;
}

Value split(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* separator = text_argument(in, arguments, 0, "sep");
  const std::int64_t most = integer_argument(in, arguments, 1, "maxsplit", -1);
  const MarkedText& text = *self.text();
  if (in.failed()) return Value();
  if (!separator) return in.spend(text.size()) ? in.list(split_spaces(text, most)) : Value();
  if (separator->empty()) return in.fail("empty separator");
  if (!in.spend_search(text.size(), separator->size())) return Value();
  return in.list(split_by(text, separator->bytes(), most));
}

Value rsplit(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* separator = text_argument(in, arguments, 0, "sep");
  const std::int64_t most = integer_argument(in, arguments, 1, "maxsplit", -1);
  if (!separator || separator->empty()) return in.fail("rsplit takes a separator");
  if (!in.spend_search(self.text()->size(), separator->size())) return Value();
  return in.list(split_by_from_right(*self.text(), separator->bytes(), most));
}

Value partition(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* separator = text_argument(in, arguments, 0, "sep");
  if (!separator || separator->empty()) return in.fail("partition takes a separator");
  const MarkedText& text = *self.text();
  if (!in.spend_search(text.size(), separator->size())) return Value();
  const std::size_t found = std::min(text.bytes().find(separator->bytes()), text.size());
  const std::size_t after = std::min(found + separator->size(), text.size());
  return in.tuple({Value(text.between(0, found)), Value(text.between(found, after)),
                   Value(text.between(after, text.size()))});
}

Value splitlines(Interpreter& in, const Value& self, const Arguments& arguments) {
  if (!in.spend(self.text()->size())) return Value();
  std::vector<Value> lines;
  for (MarkedText& line : lines_of(*self.text(), flag_argument(arguments, 0, "keepends"))) {
    lines.emplace_back(std::move(line));
  }
  return in.list(std::move(lines));
}

// One text, or a tuple of which any may fit.
Value fits_any(Interpreter& in, const Arguments& arguments,
               bool (*fits)(std::string_view, std::string_view), std::string_view text) {
  const Value* wanted = given(arguments, 0, "prefix");
  if (!wanted || (!wanted->text() && !wanted->is_tuple()))
    return in.fail("a string or tuple is needed");
  if (wanted->text()) return Value(fits(text, wanted->text()->bytes()));
  return Value(std::ranges::any_of(*wanted->items(), [&](const Value& each) {
    return each.text() && fits(text, each.text()->bytes());
  }));
}

Value startswith(Interpreter& in, const Value& self, const Arguments& arguments) {
  const auto fits = [](std::string_view text, std::string_view part) {
    return text.starts_with(part);
  };
  return fits_any(in, arguments, fits, self.text()->bytes());
}
Value endswith(Interpreter& in, const Value& self, const Arguments& arguments) {
  const auto fits = [](std::string_view text, std::string_view part) {
    return text.ends_with(part);
  };
  return fits_any(in, arguments, fits, self.text()->bytes());
}

Value removeprefix(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* part = text_argument(in, arguments, 0, "prefix");
  const MarkedText& text = *self.text();
  if (!part || !text.bytes().starts_with(part->bytes())) return self;
  return Value(text.between(part->size(), text.size()));
}
Value removesuffix(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* part = text_argument(in, arguments, 0, "suffix");
  const MarkedText& text = *self.text();
  if (!part || !text.bytes().ends_with(part->bytes())) return self;
  return Value(text.between(0, text.size() - part->size()));
}

Value replace(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* old = text_argument(in, arguments, 0, "old");
  const MarkedText* with = text_argument(in, arguments, 1, "new");
  const std::int64_t count = integer_argument(in, arguments, 2, "count", -1);
  if (in.failed()) return Value();
  if (!old || !with) return in.fail("replace takes two strings");
  if (old->empty()) return in.fail("replace of an empty string is not supported");
  const MarkedText& text = *self.text();
  const std::size_t most = text.size() + text.size() / old->size() * with->size();
  if (!in.spend_search(text.size(), old->size()) || !in.spend_bytes(most)) return Value();
  return Value(replaced(text, old->bytes(), *with, count));
}

Value upper(Interpreter& in, const Value& self, const Arguments&) {
  in.spend_bytes(self.text()->size());
  return Value(self.text()->with_bytes(to_upper(self.text()->bytes())));
}
Value lower(Interpreter& in, const Value& self, const Arguments&) {
  in.spend_bytes(self.text()->size());
  return Value(self.text()->with_bytes(to_lower(self.text()->bytes())));
}
Value capitalize(Interpreter& in, const Value& self, const Arguments&) {
  in.spend_bytes(self.text()->size());
  return Value(self.text()->with_bytes(to_capitalized(self.text()->bytes())));
}
Value title(Interpreter& in, const Value& self, const Arguments&) {
  in.spend_bytes(self.text()->size());
  return Value(self.text()->with_bytes(to_title(self.text()->bytes())));
}

Value join(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Value* parts = given(arguments, 0, "iterable");
  if (!parts) return in.fail("join takes a list");
  MarkedText out;
  bool is_first = true;
  for (const Value& part : iterate(in, *parts)->items) {
    if (!part.text()) return in.fail("join takes strings, not " + std::string(part.type_name()));
    if (!is_first) append_str(in, out, self);
    append_str(in, out, part);
    is_first = false;
    if (in.failed()) break;
  }
  return Value(std::move(out));
}

// Characters before the byte offset; -1 for none.
Value character_index(const MarkedText& text, std::size_t at) {
  if (at == std::string_view::npos) return Value(std::int64_t{-1});
  return Value(static_cast<std::int64_t>(character_count(text.bytes().substr(0, at))));
}

Value find(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* part = text_argument(in, arguments, 0, "sub");
  if (!part || !in.spend_search(self.text()->size(), part->size()))
    return in.fail("find takes a string");
  return character_index(*self.text(), self.text()->bytes().find(part->bytes()));
}
Value rfind(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* part = text_argument(in, arguments, 0, "sub");
  if (!part || !in.spend_search(self.text()->size(), part->size()))
    return in.fail("rfind takes a string");
  return character_index(*self.text(), self.text()->bytes().rfind(part->bytes()));
}
Value index(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Value found = find(in, self, arguments);
  if (in.failed()) return Value();
  return found.as_integer() < 0 ? in.fail("substring not found") : found;
}

Value count(Interpreter& in, const Value& self, const Arguments& arguments) {
  const MarkedText* part = text_argument(in, arguments, 0, "sub");
  if (!part || part->empty()) return in.fail("count takes a string");
  if (!in.spend_search(self.text()->size(), part->size())) return Value();
  return Value(static_cast<std::int64_t>(split_by(*self.text(), part->bytes(), -1).size()) - 1);
}

Value format(Interpreter& in, const Value& self, const Arguments& arguments) {
  return format_braces(in, *self.text(), arguments);
}

Value all_of(Interpreter& in, const Value& self, bool (*is)(char)) {
  const std::string_view text = self.text()->bytes();
  in.spend_bytes(text.size());
  return Value(!text.empty() && std::ranges::all_of(text, is));
}

Value isdigit(Interpreter& in, const Value& self, const Arguments&) {
  return all_of(in, self, [](char c) { return c >= '0' && c <= '9'; });
}
Value isalpha(Interpreter& in, const Value& self, const Arguments&) {
  return all_of(in, self, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
  });
}
Value isspace(Interpreter& in, const Value& self, const Arguments&) {
  if (!in.spend_bytes(self.text()->size())) return Value();
  return Value(!self.text()->empty() && stripped(*self.text(), Side::left).empty());
}
Value islower(Interpreter&, const Value& self, const Arguments&) {
  const std::string_view text = self.text()->bytes();
  return Value(to_lower(text) == text && to_upper(text) != text);
}
Value isupper(Interpreter&, const Value& self, const Arguments&) {
  const std::string_view text = self.text()->bytes();
  return Value(to_upper(text) == text && to_lower(text) != text);
}

}  // namespace

Builtin find_text_method(std::string_view name) {
  static const std::unordered_map<std::string_view, Builtin> kMethods = {
      {"strip", strip},
      {"lstrip", lstrip},
      {"rstrip", rstrip},
      {"split", split},
      {"rsplit", rsplit},
      {"partition", partition},
      {"splitlines", splitlines},
      {"startswith", startswith},
      {"endswith", endswith},
      {"replace", replace},
      {"upper", upper},
      {"lower", lower},
      {"capitalize", capitalize},
      {"title", title},
      {"join", join},
      {"find", find},
      {"rfind", rfind},
      {"index", index},
      {"count", count},
      {"format", format},
      {"isdigit", isdigit},
      {"isalpha", isalpha},
      {"isspace", isspace},
      {"islower", islower},
      {"isupper", isupper},
      {"removeprefix", removeprefix},
      {"removesuffix", removesuffix},
  };
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

}  // namespace spillway::templates
