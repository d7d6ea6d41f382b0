#include "backends/local/template/builtins.h"

#include "backends/local/template/arguments.h"
#include "backends/local/template/operations.h"
#include "backends/local/template/printing.h"
#include "backends/local/template/text_tools.h"

#include <algorithm>
#include <ctime>
#include <unordered_map>

namespace spillway::templates {
namespace {

using Test = bool (*)(Interpreter& in, const Value& value, const Arguments& arguments);

Value first_argument(const Arguments& arguments) {
  const Value* value = arguments.find(0, {});
  return value ? *value : Value();
}

bool is_parity(Interpreter& in, const Value& value, std::int64_t rest) {
  if (!value.is_number()) in.fail("odd and even take numbers");
  return !in.failed() && (value.as_integer() % 2 != 0) == (rest != 0);
}

bool divides(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value by = first_argument(arguments);
  if (!value.is_number() || !by.is_number() || by.as_integer() == 0) {
    in.fail("divisibleby takes numbers other than zero");
    return false;
  }
  return by.as_integer() == -1 || value.as_integer() % by.as_integer() == 0;
}

bool is_case(const Value& value, std::string (*change)(std::string_view),
             std::string (*other)(std::string_view)) {
  const MarkedText* text = value.text();
  return text && change(text->bytes()) == text->bytes() && other(text->bytes()) != text->bytes();
}

bool same_as(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value other = first_argument(arguments);
  return value.type_name() == other.type_name() && equal(in, value, other);
}

const std::unordered_map<std::string_view, Test>& tests() {
  using V = const Value&;
  using A = const Arguments&;
  using I = Interpreter&;
  static const Test kEqual = [](I in, V v, A a) { return equal(in, v, first_argument(a)); };
  static const Test kUnequal = [](I in, V v, A a) { return !equal(in, v, first_argument(a)); };
  static const Test kLess = [](I in, V v, A a) { return compare(in, v, first_argument(a)) < 0; };
  static const Test kAtMost = [](I in, V v, A a) { return compare(in, v, first_argument(a)) <= 0; };
  static const Test kGreater = [](I in, V v, A a) { return compare(in, v, first_argument(a)) > 0; };
  static const Test kAtLeast = [](I in, V v, A a) {
    return compare(in, v, first_argument(a)) >= 0;
  };
  static const std::unordered_map<std::string_view, Test> kTests = {
      {"defined", [](I, V v, A) { return !v.is_undefined(); }},
      {"undefined", [](I, V v, A) { return v.is_undefined(); }},
      {"none", [](I, V v, A) { return v.is_none(); }},
      {"boolean", [](I, V v, A) { return v.is_bool(); }},
      {"true", [](I, V v, A) { return v.is_bool() && v.as_bool(); }},
      {"false", [](I, V v, A) { return v.is_bool() && !v.as_bool(); }},
      {"integer", [](I, V v, A) { return v.is_integer(); }},
      {"float", [](I, V v, A) { return v.is_float(); }},
      {"number", [](I, V v, A) { return v.is_number(); }},
      {"string", [](I, V v, A) { return v.text() != nullptr; }},
      {"mapping", [](I, V v, A) { return v.dict() != nullptr; }},
      {"sequence", [](I, V v, A) { return v.text() || v.items() || v.dict() || v.is_undefined(); }},
      {"iterable", [](I, V v, A) { return v.text() || v.items() || v.dict() || v.is_undefined(); }},
      {"callable", [](I, V v, A) { return v.callable() != nullptr; }},
      {"odd", [](I in, V v, A) { return is_parity(in, v, 1); }},
      {"even", [](I in, V v, A) { return is_parity(in, v, 0); }},
      {"divisibleby", divides},
      {"lower", [](I, V v, A) { return is_case(v, to_lower, to_upper); }},
      {"upper", [](I, V v, A) { return is_case(v, to_upper, to_lower); }},
      {"in", [](I in, V v, A a) { return contains(in, first_argument(a), v); }},
      {"sameas", same_as},
      {"eq", kEqual},
      {"equalto", kEqual},
      {"==", kEqual},
      {"ne", kUnequal},
      {"!=", kUnequal},
      {"lt", kLess},
      {"lessthan", kLess},
      {"<", kLess},
      {"le", kAtMost},
      {"<=", kAtMost},
      {"gt", kGreater},
      {"greaterthan", kGreater},
      {">", kGreater},
      {"ge", kAtLeast},
      {">=", kAtLeast},
  };
  return kTests;
}

Value dict_get(Interpreter& in, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return in.fail("get takes a key");
  const Value& key = arguments.positional[0];
  const Value* otherwise = arguments.find(1, "default");
  const Value missing = otherwise ? *otherwise : Value(None{});
  if (!in.spend(1 + self.dict()->items.size() / 4)) return Value();
  for (const auto& [known, value] : self.dict()->items) {
    if (equal(in, known, key)) return value;
  }
  return missing;
}

Value dict_items(Interpreter& in, const Value& self, const Arguments&) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.dict()->items) pairs.push_back(in.tuple({key, value}));
  return in.list(std::move(pairs));
}

Value dict_keys(Interpreter& in, const Value& self, const Arguments&) {
  std::vector<Value> keys;
  for (const auto& [key, value] : self.dict()->items) keys.push_back(key);
  return in.list(std::move(keys));
}

Value dict_values(Interpreter& in, const Value& self, const Arguments&) {
  std::vector<Value> values;
  for (const auto& [key, value] : self.dict()->items) values.push_back(value);
  return in.list(std::move(values));
}

Value copy(Interpreter&, const Value& self, const Arguments&) { return self; }

Value list_index(Interpreter& in, const Value& self, const Arguments& arguments) {
  const auto& items = *self.items();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equal(in, items[i], first_argument(arguments))) return Value(static_cast<std::int64_t>(i));
  }
  return in.fail("that item is not in the list");
}

Value list_count(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Value wanted = first_argument(arguments);
  return Value(static_cast<std::int64_t>(std::ranges::count_if(
      *self.items(), [&](const Value& item) { return equal(in, item, wanted); })));
}

Value loop_cycle(Interpreter& in, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return in.fail("cycle takes values");
  return arguments.positional[self.loop()->index % arguments.positional.size()];
}

// Chat templates run in a sandbox where lists and dicts cannot be changed.
Value forbidden(Interpreter& in, const Value& self, const Arguments&) {
  return in.fail("a " + std::string(self.type_name()) + " cannot be changed");
}

Value global_range(Interpreter& in, const Arguments& arguments) {
  for (const Value& bound : arguments.positional) {
    if (!bound.is_integer() && !bound.is_bool()) return in.fail("range takes integers");
  }
  const auto bound = [&](std::size_t i) { return arguments.positional[i].as_integer(); };
  const std::size_t count = arguments.positional.size();
  if (count < 1 || count > 3) return in.fail("range takes one to three integers");
  const std::int64_t begin = count > 1 ? bound(0) : 0;
  const std::int64_t end = count > 1 ? bound(1) : bound(0);
  const std::int64_t step = count > 2 ? bound(2) : 1;
  if (step == 0) return in.fail("range step cannot be zero");
  std::vector<Value> numbers;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    numbers.emplace_back(at);
    if (!in.allows_items(numbers.size()) || __builtin_add_overflow(at, step, &at)) break;
  }
  return in.list(std::move(numbers));
}

Value global_dict(Interpreter& in, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> items;
  if (!arguments.positional.empty()) {
    const Dict* source = arguments.positional[0].dict();
    if (!source) return in.fail("dict takes a mapping");
    items = source->items;
  }
  for (const auto& [name, value] : arguments.named) {
    const auto known = std::ranges::find_if(items, [&](const auto& item) {
      return item.first.text() && item.first.text()->bytes() == name;
    });
    if (known != items.end())
      known->second = value;
    else
      items.emplace_back(Value(name), value);
  }
  return in.dict(std::move(items));
}

Value global_strftime_now(Interpreter& in, const Arguments& arguments) {
  const MarkedText* format = text_argument(in, arguments, 0, "format");
  if (!format) return in.fail("strftime_now takes a format");
  const std::time_t seconds = std::chrono::system_clock::to_time_t(in.now());
  std::tm local{};
  localtime_r(&seconds, &local);
  char buffer[1024];
  const std::size_t written =
      std::strftime(buffer, sizeof buffer, std::string(format->bytes()).c_str(), &local);
  return Value(std::string(buffer, written));
}

Value global_raise(Interpreter& in, const Arguments& arguments) {
  const Value* words = arguments.find(0, "message");
  return in.refuse(words ? std::string(str(in, *words).bytes())
                         : "the template refuses this conversation");
}

Value global_namespace(Interpreter& in, const Arguments& arguments) {
  return in.name_space(arguments);
}

}  // namespace

Value apply_filter(Interpreter& in, std::string_view name, const Value& value,
                   const Arguments& arguments) {
  Builtin filter = find_text_filter(name);
  if (!filter) filter = find_list_filter(name);
  return filter ? filter(in, value, arguments)
                : in.fail("there is no filter '" + std::string(name) + "'");
}

bool apply_test(Interpreter& in, std::string_view name, const Value& value,
                const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found != tests().end()) return found->second(in, value, arguments);
  in.fail("there is no test '" + std::string(name) + "'");
  return false;
}

Builtin find_method(const Value& object, std::string_view name) {
  static const std::unordered_map<std::string_view, Builtin> kDictMethods = {
      {"get", dict_get},       {"items", dict_items}, {"keys", dict_keys},
      {"values", dict_values}, {"copy", copy},        {"pop", forbidden},
      {"update", forbidden},   {"clear", forbidden},  {"setdefault", forbidden},
      {"popitem", forbidden}};
  static const std::unordered_map<std::string_view, Builtin> kListMethods = {
      {"index", list_index}, {"count", list_count}, {"copy", copy},        {"append", forbidden},
      {"extend", forbidden}, {"insert", forbidden}, {"pop", forbidden},    {"remove", forbidden},
      {"clear", forbidden},  {"sort", forbidden},   {"reverse", forbidden}};
  const auto find_in = [&](const auto& methods) {
    const auto found = methods.find(name);
    return found == methods.end() ? nullptr : found->second;
  };
  if (object.text()) return find_text_method(name);
  if (object.dict()) return find_in(kDictMethods);
  if (object.items()) return find_in(kListMethods);
  if (object.loop() && name == "cycle") return loop_cycle;
  return nullptr;
}

std::optional<Value> find_global(std::string_view name) {
  using Global = Value (*)(Interpreter&, const Arguments&);
  static const std::unordered_map<std::string_view, Global> kGlobals = {
      {"range", global_range},
      {"dict", global_dict},
      {"namespace", global_namespace},
      {"raise_exception", global_raise},
      {"strftime_now", global_strftime_now}};
  const auto found = kGlobals.find(name);
  if (found == kGlobals.end()) return std::nullopt;
  return Value(Callable{std::string(name), found->second});
}

}  // namespace spillway::templates
