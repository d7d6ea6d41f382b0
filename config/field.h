// How a row of the schema reads and writes its field of a settings struct: one getter and one
// setter made from member pointers, e.g. field<&Settings::server, &Server::workers>().
//
// Only config/schema.cpp makes them. The conversions below are the whole list of field types.
#pragma once

#include "config/settings.h"
#include "config/value.h"

#include <string>

namespace spillway::config {

template <class Owner>
struct Field {
  Value (*get)(const Owner& owner) = nullptr;
  void (*set)(Owner& owner, const Value& value) = nullptr;  // Requires: the kind's alternative.
};

inline constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;

inline Value to_value(bool field) { return field; }
inline Value to_value(int field) { return std::int64_t{field}; }
inline Value to_value(std::int64_t field) { return field; }
inline Value to_value(double field) { return field; }
inline Value to_value(const std::string& field) { return field; }
inline Value to_value(const Names& field) { return field; }
inline Value to_value(Milliseconds field) {
  return std::int64_t{field.count()} * kNanosecondsPerMillisecond;
}
inline Value to_value(const std::optional<Milliseconds>& field) {
  return field ? to_value(*field) : Value();
}
inline Value to_value(const std::optional<NanoUsd>& field) {
  return field ? Value(*field) : Value();
}
inline Value to_value(const std::optional<double>& field) {
  return field ? Value(*field) : Value();
}
Value to_value(const Endpoint& field);
Value to_value(const std::vector<ServedModel>& field);
Value to_value(Spill field);
Value to_value(Prefer field);

inline void assign(bool& field, const Value& value) { field = std::get<bool>(value); }
inline void assign(int& field, const Value& value) {
  field = static_cast<int>(std::get<std::int64_t>(value));  // Rows bound what fits.
}
inline void assign(std::int64_t& field, const Value& value) {
  field = std::get<std::int64_t>(value);
}
inline void assign(double& field, const Value& value) { field = std::get<double>(value); }
inline void assign(std::string& field, const Value& value) { field = std::get<std::string>(value); }
inline void assign(Names& field, const Value& value) { field = std::get<Names>(value); }
inline void assign(Milliseconds& field, const Value& value) {
  field = Milliseconds(std::get<std::int64_t>(value) / kNanosecondsPerMillisecond);
}
inline void assign(std::optional<Milliseconds>& field, const Value& value) {
  assign(field.emplace(), value);
}
inline void assign(std::optional<NanoUsd>& field, const Value& value) {
  field = std::get<std::int64_t>(value);
}
inline void assign(std::optional<double>& field, const Value& value) {
  field = std::get<double>(value);
}
void assign(Endpoint& field, const Value& value);
void assign(std::vector<ServedModel>& field, const Value& value);
void assign(Spill& field, const Value& value);
void assign(Prefer& field, const Value& value);

template <auto Member, auto... Deeper, class Owner>
auto& reach(Owner& owner) {
  if constexpr (sizeof...(Deeper) == 0) {
    return owner.*Member;
  } else {
    return reach<Deeper...>(owner.*Member);
  }
}

template <class Owner, class Type>
Owner owner_of(Type Owner::*);

// The field at the end of a chain of member pointers.
template <auto Member, auto... Deeper>
auto field() {
  using Owner = decltype(owner_of(Member));
  return Field<Owner>{
      [](const Owner& owner) { return to_value(reach<Member, Deeper...>(owner)); },
      [](Owner& owner, const Value& value) { assign(reach<Member, Deeper...>(owner), value); }};
}

// A duration held as a plain number of units of so many nanoseconds.
template <std::int64_t Nanoseconds, auto Member, auto... Deeper>
auto duration_in() {
  using Owner = decltype(owner_of(Member));
  return Field<Owner>{[](const Owner& owner) {
                        const double units = reach<Member, Deeper...>(owner);
                        return Value(static_cast<std::int64_t>(units * Nanoseconds + 0.5));
                      },
                      [](Owner& owner, const Value& value) {
                        const auto nanoseconds = static_cast<double>(std::get<std::int64_t>(value));
                        reach<Member, Deeper...>(owner) = nanoseconds / Nanoseconds;
                      }};
}

}  // namespace spillway::config
