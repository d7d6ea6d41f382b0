// Jinja2's filters on lists and dicts. What Jinja2 makes a generator is a list here.
#include "backends/local/template/arguments.h"
#include "backends/local/template/builtins.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"
#include "backends/local/template/text_tools.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace spillway::templates {
namespace {

// The items, or none after a failure.
std::vector<Value> items_of(Interpreter& in, const Value& value) {
  const Value::ListPointer list = iterate(in, value);
  if (in.failed() || !in.spend(list->items.size())) return {};
  return list->items;
}

// As items_of, for the filters that look at the value's truth first: none is as good as no items
// there.
std::vector<Value> items_if_any(Interpreter& in, const Value& value) {
  return value.truthy() ? items_of(in, value) : std::vector<Value>();
}

// item.a.b for "a.b"; parts that are numbers are indices.
Value by_path(Interpreter& in, Value item, std::string_view path) {
  while (!path.empty() && !in.failed()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    const std::string part(path.substr(0, dot));
    std::int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
    item = subscript(in, item, is_index ? Value(index) : Value(part));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return item;
}

// What the `attribute` argument selects of an item, or the item.
Value selected(Interpreter& in, const Value& item, const Value* path) {
  if (!path) return item;
  if (path->is_integer()) return subscript(in, item, *path);
  return path->text() ? by_path(in, item, path->text()->bytes())
                      : in.fail("attribute must be a name");
}

// Texts compare without case unless asked otherwise.
Value sort_key(const Value& value, bool with_case) {
  if (!value.text() || with_case) return value;
  return Value(to_lower(value.text()->bytes()));
}

Value length(Interpreter& in, const Value& value, const Arguments&) {
  const auto size = length_of(in, value);
  if (!size) return in.fail("a value of type " + std::string(value.type_name()) + " has no length");
  return Value(*size);
}

Value first(Interpreter& in, const Value& value, const Arguments&) {
  const std::vector<Value> items = items_of(in, value);
  return items.empty() ? Value(Undefined{"the first item"}) : items.front();
}

Value last(Interpreter& in, const Value& value, const Arguments&) {
  const std::vector<Value> items = items_of(in, value);
  return items.empty() ? Value(Undefined{"the last item"}) : items.back();
}

Value join(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value* separator = given(arguments, 0, "d");
  const MarkedText between = separator ? str(in, *separator) : MarkedText();
  const Value* path = given(arguments, 1, "attribute");
  MarkedText out;
  bool is_first = true;
  for (const Value& item : items_of(in, value)) {
    if (!is_first) append_str(in, out, Value(between));
    append_str(in, out, selected(in, item, path));
    is_first = false;
    if (in.failed()) return Value();
  }
  return Value(std::move(out));
}

Value list(Interpreter& in, const Value& value, const Arguments&) {
  return in.list(items_of(in, value));
}

Value map(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value* path = arguments.find(SIZE_MAX, "attribute");
  const Value* otherwise = arguments.find(SIZE_MAX, "default");
  const MarkedText* filter = path ? nullptr : text_argument(in, arguments, 0, "filter");
  if (!path && !filter) return in.fail("map takes a filter or an attribute");
  const Arguments rest = without_first(arguments, 1);
  std::vector<Value> out;
  for (const Value& item : items_if_any(in, value)) {
    Value made = path ? selected(in, item, path) : apply_filter(in, filter->bytes(), item, rest);
    out.push_back(made.is_undefined() && otherwise ? *otherwise : std::move(made));
    if (in.failed()) return Value();
  }
  return in.list(std::move(out));
}

// Keeps the items whose (attribute's) test says `wanted`; without a test, whose truth does.
Value filtered(Interpreter& in, const Value& value, const Arguments& arguments, bool by_attribute,
               bool wanted) {
  const Value* path = by_attribute ? given(arguments, 0, "attr") : nullptr;
  if (by_attribute && !path) return in.fail("an attribute is missing");
  const std::size_t test_at = by_attribute ? 1 : 0;
  const MarkedText* test = text_argument(in, arguments, test_at, "test");
  const Arguments rest = without_first(arguments, test_at + 1);
  std::vector<Value> out;
  for (const Value& item : items_if_any(in, value)) {
    const Value looked_at = selected(in, item, path);
    const bool holds = test ? apply_test(in, test->bytes(), looked_at, rest) : looked_at.truthy();
    if (in.failed()) return Value();
    if (holds == wanted) out.push_back(item);
  }
  return in.list(std::move(out));
}

Value select(Interpreter& in, const Value& value, const Arguments& arguments) {
  return filtered(in, value, arguments, false, true);
}
Value reject(Interpreter& in, const Value& value, const Arguments& arguments) {
  return filtered(in, value, arguments, false, false);
}
Value selectattr(Interpreter& in, const Value& value, const Arguments& arguments) {
  return filtered(in, value, arguments, true, true);
}
Value rejectattr(Interpreter& in, const Value& value, const Arguments& arguments) {
  return filtered(in, value, arguments, true, false);
}

// Stable, by key; equal keys keep their order when reversed too, as in Python.
std::vector<Value> sorted(Interpreter& in, std::vector<std::pair<Value, Value>> keyed,
                          bool reverse) {
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) {
    const int order = in.failed() ? 0 : compare(in, a.first, b.first);
    return reverse ? order > 0 : order < 0;
  });
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value sort(Interpreter& in, const Value& value, const Arguments& arguments) {
  const bool with_case = flag_argument(arguments, 1, "case_sensitive");
  const Value* path = given(arguments, 2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(in, value)) {
    keyed.emplace_back(sort_key(selected(in, item, path), with_case), item);
  }
  return in.list(sorted(in, std::move(keyed), flag_argument(arguments, 0, "reverse")));
}

Value dictsort(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Dict* mapping = value.dict();
  if (!mapping) return in.fail("dictsort takes a dict");
  const bool with_case = flag_argument(arguments, 0, "case_sensitive");
  const MarkedText* by = text_argument(in, arguments, 1, "by");
  const bool by_value = by && by->bytes() == "value";
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, entry] : mapping->items) {
    keyed.emplace_back(sort_key(by_value ? entry : key, with_case), in.tuple({key, entry}));
  }
  return in.list(sorted(in, std::move(keyed), flag_argument(arguments, 2, "reverse")));
}

Value items(Interpreter& in, const Value& value, const Arguments& arguments) {
  if (value.is_undefined()) return in.list({});
  if (!value.dict()) return in.fail("items takes a dict");
  return find_method(value, "items")(in, value, arguments);
}

Value unique(Interpreter& in, const Value& value, const Arguments& arguments) {
  const bool with_case = flag_argument(arguments, 0, "case_sensitive");
  const Value* path = given(arguments, 1, "attribute");
  std::vector<Value> keys;
  std::vector<Value> out;
  for (const Value& item : items_of(in, value)) {
    Value key = sort_key(selected(in, item, path), with_case);
    if (std::ranges::any_of(keys, [&](const Value& known) { return equal(in, known, key); }))
      continue;
    if (in.failed()) return Value();
    keys.push_back(std::move(key));
    out.push_back(item);
  }
  return in.list(std::move(out));
}

Value reverse(Interpreter& in, const Value& value, const Arguments&) {
  std::vector<Value> backwards = items_of(in, value);
  std::ranges::reverse(backwards);
  if (!value.text()) return in.list(std::move(backwards));
  MarkedText out;
  for (const Value& character : backwards) out.append(*character.text());
  return Value(std::move(out));
}

Value sum(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value* path = given(arguments, 0, "attribute");
  const Value* start = given(arguments, 1, "start");
  Value total = start ? *start : Value(std::int64_t{0});
  for (const Value& item : items_of(in, value)) {
    total = arithmetic(in, "+", total, selected(in, item, path));
    if (in.failed()) return Value();
  }
  return total;
}

Value extreme(Interpreter& in, const Value& value, const Arguments& arguments, int sign) {
  const bool with_case = flag_argument(arguments, 0, "case_sensitive");
  const Value* path = given(arguments, 1, "attribute");
  Value best(Undefined{"the extreme of nothing"});
  Value best_key;
  for (const Value& item : items_of(in, value)) {
    Value key = sort_key(selected(in, item, path), with_case);
    if (!best_key.is_undefined() && compare(in, key, best_key) * sign <= 0) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Value smallest(Interpreter& in, const Value& value, const Arguments& arguments) {
  return extreme(in, value, arguments, -1);
}
Value largest(Interpreter& in, const Value& value, const Arguments& arguments) {
  return extreme(in, value, arguments, 1);
}

Value batch(Interpreter& in, const Value& value, const Arguments& arguments) {
  const std::int64_t size = integer_argument(in, arguments, 0, "linecount", 0);
  if (size <= 0) return in.fail("batch takes a positive size");
  const Value* filler = given(arguments, 1, "fill_with");
  std::vector<Value> out;
  std::vector<Value> row;
  for (const Value& item : items_of(in, value)) {
    row.push_back(item);
    if (std::ssize(row) == size) out.push_back(in.list(std::exchange(row, {})));
  }
  while (filler && !row.empty() && std::ssize(row) < size && in.spend(1)) row.push_back(*filler);
  if (!row.empty()) out.push_back(in.list(std::move(row)));
  return in.list(std::move(out));
}

}  // namespace

Builtin find_list_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Builtin> kFilters = {
      {"length", length},
      {"count", length},
      {"first", first},
      {"last", last},
      {"join", join},
      {"list", list},
      {"map", map},
      {"select", select},
      {"reject", reject},
      {"sort", sort},
      {"dictsort", dictsort},
      {"items", items},
      {"selectattr", selectattr},
      {"unique", unique},
      {"reverse", reverse},
      {"sum", sum},
      {"rejectattr", rejectattr},
      {"min", smallest},
      {"max", largest},
      {"batch", batch},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace spillway::templates
