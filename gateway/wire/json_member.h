// A member of JSON that need not be there, nor be what it should. Pure.
#pragma once

#include <string>
#include <string_view>

namespace spillway::wire {

// Null: it is no object, or has no such member.
template <class AnyJson>
const AnyJson* member_in(const AnyJson& json, std::string_view name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

// Empty where there is no text.
template <class AnyJson>
std::string text_in(const AnyJson& json, std::string_view name) {
  const AnyJson* text = member_in(json, name);
  return text != nullptr && text->is_string() ? text->template get<std::string>() : std::string();
}

}  // namespace spillway::wire
