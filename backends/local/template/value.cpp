#include "backends/local/template/value.h"

#include <algorithm>

namespace spillway::templates {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

std::shared_ptr<const List> make_list(std::vector<Value> items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return std::make_shared<const List>(List{std::move(items), depth + 1});
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    const MarkedText* text = name.text();
    if (text && text->bytes() == key) return &value;
  }
  return nullptr;
}

Value Value::list(std::vector<Value> items) {
  Value value;
  value.data_ = make_list(std::move(items));
  return value;
}

Value Value::tuple(std::vector<Value> items) {
  Value value;
  value.data_ = Tuple{make_list(std::move(items))};
  return value;
}

Value Value::dict(std::vector<std::pair<Value, Value>> items) {
  int depth = 0;
  for (const auto& [key, item] : items) depth = std::max({depth, key.depth(), item.depth()});
  Value value;
  value.data_ = std::make_shared<const Dict>(Dict{std::move(items), depth + 1});
  return value;
}

const MarkedText* Value::text() const {
  const auto* pointer = std::get_if<Text>(&data_);
  return pointer ? pointer->get() : nullptr;
}

Value::ListPointer Value::list_pointer() const {
  if (const auto* list = std::get_if<ListPointer>(&data_)) return *list;
  if (const auto* tuple = std::get_if<Tuple>(&data_)) return tuple->list;
  return nullptr;
}

const std::vector<Value>* Value::items() const {
  if (const auto* list = std::get_if<ListPointer>(&data_)) return &(*list)->items;
  if (const auto* tuple = std::get_if<Tuple>(&data_)) return &tuple->list->items;
  return nullptr;
}

const Dict* Value::dict() const {
  const auto* pointer = std::get_if<DictPointer>(&data_);
  return pointer ? pointer->get() : nullptr;
}

Namespace* Value::name_space() const {
  const auto* pointer = std::get_if<std::shared_ptr<Namespace>>(&data_);
  return pointer ? pointer->get() : nullptr;
}

Loop* Value::loop() const {
  const auto* pointer = std::get_if<std::shared_ptr<Loop>>(&data_);
  return pointer ? pointer->get() : nullptr;
}

const Callable* Value::callable() const {
  const auto* pointer = std::get_if<std::shared_ptr<const Callable>>(&data_);
  return pointer ? pointer->get() : nullptr;
}

std::int64_t Value::as_integer() const {
  if (is_bool()) return as_bool() ? 1 : 0;
  if (is_float()) return static_cast<std::int64_t>(std::get<double>(data_));
  return std::get<std::int64_t>(data_);
}

double Value::as_float() const {
  return is_float() ? std::get<double>(data_) : static_cast<double>(as_integer());
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_bool()) return as_bool();
  if (is_integer()) return as_integer() != 0;
  if (is_float()) return as_float() != 0;
  if (const MarkedText* string = text()) return !string->empty();
  if (const auto* sequence = items()) return !sequence->empty();
  if (const Dict* mapping = dict()) return !mapping->items.empty();
  return true;
}

int Value::depth() const {
  if (const auto sequence = list_pointer()) return sequence->depth;
  if (const Dict* mapping = dict()) return mapping->depth;
  if (const Loop* state = loop()) return state->items->depth + 1;
  if (const Callable* function = callable()) return function->depth;
  return 0;
}

std::string_view Value::type_name() const {
  return std::visit(
      Overloaded{
          [](const Undefined&) -> std::string_view { return "Undefined"; },
          [](const None&) -> std::string_view { return "NoneType"; },
          [](bool) -> std::string_view { return "bool"; },
          [](std::int64_t) -> std::string_view { return "int"; },
          [](double) -> std::string_view { return "float"; },
          [](const Text&) -> std::string_view { return "str"; },
          [](const ListPointer&) -> std::string_view { return "list"; },
          [](const Tuple&) -> std::string_view { return "tuple"; },
          [](const DictPointer&) -> std::string_view { return "dict"; },
          [](const std::shared_ptr<Namespace>&) -> std::string_view { return "Namespace"; },
          [](const std::shared_ptr<Loop>&) -> std::string_view { return "LoopContext"; },
          [](const std::shared_ptr<const Callable>&) -> std::string_view { return "function"; },
      },
      data_);
}

const Value* Arguments::find(std::size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [given, value] : named) {
    if (given == name) return &value;
  }
  return nullptr;
}

}  // namespace spillway::templates
