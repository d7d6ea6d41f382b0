#include "backends/local/template/operations.h"

#include "backends/local/template/builtins.h"
#include "backends/local/template/text_tools.h"

#include <algorithm>
#include <string>

namespace spillway::templates {
namespace {

bool equal_lists(Interpreter& in, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(in, a[i], b[i])) return false;
  }
  return true;
}

const Value* find_entry(Interpreter& in, const Dict& mapping, const Value& key) {
  if (!in.spend(1 + mapping.items.size() / 4)) return nullptr;
  if (const MarkedText* text = key.text()) return mapping.find(text->bytes());
  for (const auto& [known, value] : mapping.items) {
    if (equal(in, known, key)) return &value;
  }
  return nullptr;
}

bool equal_dicts(Interpreter& in, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = find_entry(in, b, key);
    if (!other || !equal(in, value, *other)) return false;
  }
  return true;
}

Value bound_method(const Value& object, std::string_view name, Builtin method) {
  Callable made;
  made.name = name;
  made.depth = object.depth() + 1;
  made.call = [object, method](Interpreter& in, const Arguments& arguments) {
    return method(in, object, arguments);
  };
  return Value(std::move(made));
}

Value loop_attribute(const Loop& loop, const std::string& name) {
  const auto length = static_cast<std::int64_t>(loop.items->items.size());
  const auto index = static_cast<std::int64_t>(loop.index);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == length);
  if (name == "length") return Value(length);
  if (name == "depth") return Value(std::int64_t{1});  // Only recursive loops go deeper.
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem" && index > 0) return loop.items->items[loop.index - 1];
  if (name == "nextitem" && index + 1 < length) return loop.items->items[loop.index + 1];
  return Value(Undefined{name});
}

// Python's index into something of `length`; nothing if it is outside.
std::optional<std::size_t> position(const Value& key, std::size_t length) {
  const auto size = static_cast<std::int64_t>(length);
  std::int64_t index = key.as_integer();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return static_cast<std::size_t>(index);
}

// The positions that a slice takes, in order.
std::vector<std::size_t> slice_positions(Interpreter& in, const SliceBounds& bounds,
                                         std::size_t length) {
  const auto size = static_cast<std::int64_t>(length);
  const std::int64_t step = bounds.step.value_or(1);
  if (step == 0) in.fail("slice step cannot be zero");
  if (in.failed() || !in.spend(1 + length / 16)) return {};
  const std::int64_t lowest = step > 0 ? 0 : -1;
  const std::int64_t highest = step > 0 ? size : size - 1;
  const auto clamp = [&](std::optional<std::int64_t> bound, std::int64_t fallback) {
    if (!bound) return fallback;
    return std::clamp(*bound < 0 ? *bound + size : *bound, lowest, highest);
  };
  const std::int64_t begin = clamp(bounds.begin, step > 0 ? lowest : highest);
  const std::int64_t end = clamp(bounds.end, step > 0 ? highest : lowest);
  const std::int64_t stride = std::clamp(step, -size - 1, size + 1);
  std::vector<std::size_t> positions;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end; at += stride) {
    positions.push_back(static_cast<std::size_t>(at));
  }
  return positions;
}

}  // namespace

bool equal(Interpreter& in, const Value& a, const Value& b) {
  if (!in.spend(1)) return false;
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.as_float() == b.as_float();
    return a.as_integer() == b.as_integer();
  }
  if (const MarkedText* left = a.text()) {
    const MarkedText* right = b.text();
    if (!right || left->size() != right->size()) return false;
    return in.spend_bytes(left->size()) && left->bytes() == right->bytes();
  }
  if (a.is_none()) return b.is_none();
  if (a.is_undefined()) return b.is_undefined();
  if (a.is_sequence()) {
    return a.is_list() == b.is_list() && b.is_sequence() && equal_lists(in, *a.items(), *b.items());
  }
  if (a.dict()) return b.dict() && equal_dicts(in, *a.dict(), *b.dict());
  if (a.name_space()) return a.name_space() == b.name_space();
  return a.callable() && a.callable() == b.callable();
}

int compare(Interpreter& in, const Value& a, const Value& b) {
  if (!in.spend(1)) return 0;
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) {
      return a.as_float() < b.as_float() ? -1 : a.as_float() > b.as_float() ? 1 : 0;
    }
    return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
  }
  if (a.text() && b.text()) {
    in.spend_bytes(std::min(a.text()->size(), b.text()->size()));
    return a.text()->bytes().compare(b.text()->bytes());
  }
  if (a.is_sequence() && a.is_list() == b.is_list() && b.is_sequence()) {
    const auto& left = *a.items();
    const auto& right = *b.items();
    for (std::size_t i = 0; i < std::min(left.size(), right.size()) && !in.failed(); ++i) {
      if (!equal(in, left[i], right[i])) return compare(in, left[i], right[i]);
    }
    return left.size() < right.size() ? -1 : left.size() > right.size() ? 1 : 0;
  }
  in.fail("'" + std::string(a.type_name()) + "' and '" + std::string(b.type_name()) +
          "' cannot be ordered");
  return 0;
}

bool contains(Interpreter& in, const Value& container, const Value& item) {
  if (container.is_undefined()) return false;
  if (const MarkedText* text = container.text()) {
    if (!item.text()) {
      in.fail("'in <string>' requires string as left operand, not " +
              std::string(item.type_name()));
      return false;
    }
    const std::string_view needle = item.text()->bytes();
    return in.spend_search(text->size(), needle.size()) &&
           text->bytes().find(needle) != std::string_view::npos;
  }
  if (const Dict* mapping = container.dict()) return find_entry(in, *mapping, item) != nullptr;
  if (const auto* items = container.items()) {
    return std::ranges::any_of(*items, [&](const Value& each) { return equal(in, each, item); });
  }
  in.fail("a value of type " + std::string(container.type_name()) + " cannot contain anything");
  return false;
}

Value attribute(Interpreter& in, const Value& object, const std::string& name) {
  if (in.failed()) return Value();
  if (const Undefined* missing = object.undefined()) {
    return in.fail("'" + missing->name + "' is undefined");
  }
  if (const Builtin method = find_method(object, name)) return bound_method(object, name, method);
  if (const Dict* mapping = object.dict()) {
    in.spend(mapping->items.size() / 4);
    if (const Value* entry = mapping->find(name)) return *entry;
  }
  if (const Namespace* space = object.name_space()) {
    for (const auto& [known, value] : space->attributes) {
      if (known == name) return value;
    }
  }
  if (const Loop* loop = object.loop()) return loop_attribute(*loop, name);
  if (object.callable() && name == "name") return Value(object.callable()->name);
  return Value(Undefined{name});
}

Value subscript(Interpreter& in, const Value& object, const Value& key) {
  if (in.failed()) return Value();
  if (const Undefined* missing = object.undefined()) {
    return in.fail("'" + missing->name + "' is undefined");
  }
  if (const Dict* mapping = object.dict()) {
    if (const Value* entry = find_entry(in, *mapping, key)) return *entry;
  }
  const bool is_index = key.is_integer() || key.is_bool();
  if (const auto* items = object.items(); items && is_index) {
    const auto at = position(key, items->size());
    return at ? (*items)[*at] : Value(Undefined{"the item at that index"});
  }
  if (const MarkedText* text = object.text(); text && is_index) {
    if (!in.spend_bytes(text->size())) return Value();
    const auto offsets = character_offsets(text->bytes());
    const auto at = position(key, offsets.size() - 1);
    return at ? Value(text->between(offsets[*at], offsets[*at + 1]))
              : Value(Undefined{"the character at that index"});
  }
  if (const MarkedText* name = key.text()) return attribute(in, object, std::string(name->bytes()));
  return Value(Undefined{"that item"});
}

Value slice(Interpreter& in, const Value& object, const SliceBounds& bounds) {
  if (in.failed()) return Value();
  if (const MarkedText* text = object.text()) {
    const auto offsets = character_offsets(text->bytes());
    const auto positions = slice_positions(in, bounds, offsets.size() - 1);
    if (positions.empty()) return Value(MarkedText());
    if (bounds.step.value_or(1) == 1) {
      return Value(text->between(offsets[positions.front()], offsets[positions.back() + 1]));
    }
    MarkedText out;
    for (const std::size_t at : positions) out.append(text->between(offsets[at], offsets[at + 1]));
    return Value(std::move(out));
  }
  if (const auto* items = object.items()) {
    std::vector<Value> taken;
    for (const std::size_t at : slice_positions(in, bounds, items->size()))
      taken.push_back((*items)[at]);
    return object.is_list() ? in.list(std::move(taken)) : in.tuple(std::move(taken));
  }
  if (const Undefined* missing = object.undefined()) {
    return in.fail("'" + missing->name + "' is undefined");
  }
  return Value(Undefined{"that slice"});
}

Value::ListPointer iterate(Interpreter& in, const Value& value) {
  if (in.failed()) return std::make_shared<const List>();
  if (Value::ListPointer list = value.list_pointer()) return list;
  std::vector<Value> items;
  if (const Dict* mapping = value.dict()) {
    for (const auto& [key, entry] : mapping->items) items.push_back(key);
  } else if (const MarkedText* text = value.text()) {
    if (in.spend(text->size())) {
      const auto offsets = character_offsets(text->bytes());
      for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
        items.emplace_back(text->between(offsets[i], offsets[i + 1]));
      }
    }
  } else if (!value.is_undefined()) {
    in.fail("a value of type " + std::string(value.type_name()) + " is not iterable");
  }
  const Value made = in.list(std::move(items));
  return in.failed() ? std::make_shared<const List>() : made.list_pointer();
}

std::optional<std::int64_t> length_of(Interpreter& in, const Value& value) {
  if (value.is_undefined()) return 0;
  if (const auto* items = value.items()) return static_cast<std::int64_t>(items->size());
  if (const Dict* mapping = value.dict()) return static_cast<std::int64_t>(mapping->items.size());
  const MarkedText* text = value.text();
  if (!text || !in.spend_bytes(text->size())) return std::nullopt;
  return static_cast<std::int64_t>(character_count(text->bytes()));
}

}  // namespace spillway::templates
