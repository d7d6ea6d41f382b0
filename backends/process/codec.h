// Values as bytes, for another process of this program on this machine: there are no versions, and
// numbers lie as they do in memory.
//
// A Layout says what types are made of: `list(fields, value)` calls fields(…) with their members in
// order, once for writing and for reading; `last_of(Enum{})` is the last of an enum; what may lie
// as in memory, `copies` takes. Reading checks lengths against what is there, flags and
// enumerators, and throws std::runtime_error where something is wrong: the other process may be out
// of its mind.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace spillway::process {

// For a Layout's lists: Type, or const Type.
template <class Given, class Type>
concept A = std::same_as<std::remove_const_t<Given>, Type>;

// Of bytes or elements.
using Count = std::uint32_t;

template <class Type, class Layout>
concept Bounded = requires { Layout::last_of(Type{}); };

// Numbers, times, and what the Layout copies.
template <class Type, class Layout>
concept Plain = (std::is_arithmetic_v<Type> && !std::same_as<Type, bool>) ||
                requires { typename Type::rep; } || requires(Type value) { Layout::copies(value); };

template <class Layout>
class Writer {
 public:
  // Behind what `bytes` has.
  explicit Writer(std::string& bytes) : bytes_(bytes) {}

  void operator()(const auto&... values) { (write(values), ...); }

 private:
  template <class Type>
  void write(const Type& value) {
    if constexpr (Bounded<Type, Layout> || std::same_as<Type, bool>) {
      bytes_.push_back(static_cast<char>(value));
    } else if constexpr (Plain<Type, Layout>) {
      put(&value, 1);
    } else {
      layout_.list(*this, value);
    }
  }
  void write(const std::string& text) {
    write(static_cast<Count>(text.size()));
    bytes_ += text;
  }
  template <class Type>
  void write(const std::optional<Type>& value) {
    write(value.has_value());
    if (value) write(*value);
  }
  template <class Type>
  void write(const std::vector<Type>& values) {
    write(static_cast<Count>(values.size()));
    if constexpr (Plain<Type, Layout>) {
      put(values.data(), values.size());
    } else {
      for (const Type& value : values) write(value);
    }
  }
  template <class Type>
  void put(const Type* values, std::size_t count) {
    if (count > 0) bytes_.append(reinterpret_cast<const char*>(values), count * sizeof(Type));
  }

  std::string& bytes_;
  Layout layout_;
};

template <class Layout>
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  void operator()(auto&... values) { (read(values), ...); }
  template <class Type>
  Type next() {
    Type value{};
    read(value);
    return value;
  }

  // Requires nothing to be left.
  void end() const { require(rest_.empty()); }

 private:
  static void require(bool good) {
    if (!good) throw std::runtime_error("there is not what it says");
  }

  template <class Type>
  void read(Type& value) {
    if constexpr (std::same_as<Type, bool>) {
      value = small(1) != 0;
    } else if constexpr (Bounded<Type, Layout>) {
      value = static_cast<Type>(small(static_cast<int>(Layout::last_of(Type{}))));
    } else if constexpr (Plain<Type, Layout>) {
      get(&value, 1);
    } else {
      layout_.list(*this, value);
    }
  }
  void read(std::string& text) {
    const auto count = next<Count>();
    text = take(count, 1);
  }
  template <class Type>
  void read(std::optional<Type>& value) {
    if (next<bool>()) read(value.emplace());
  }
  template <class Type>
  void read(std::vector<Type>& values) {
    const auto count = next<Count>();
    if constexpr (Plain<Type, Layout>) {
      require(count <= rest_.size() / sizeof(Type));
      values.resize(count);
      get(values.data(), count);
    } else {
      require(count <= rest_.size());  // A byte each at least.
      for (Count i = 0; i < count; ++i) read(values.emplace_back());
    }
  }
  int small(int last) {
    const int value = static_cast<unsigned char>(take(1, 1).front());
    require(value <= last);
    return value;
  }
  template <class Type>
  void get(Type* values, std::size_t count) {
    const std::string_view bytes = take(count, sizeof(Type));
    if (count > 0) std::memcpy(static_cast<void*>(values), bytes.data(), bytes.size());
  }
  std::string_view take(std::size_t count, std::size_t bytes_each) {
    require(count <= rest_.size() / bytes_each);
    const std::string_view taken = rest_.substr(0, count * bytes_each);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
  Layout layout_;
};

}  // namespace spillway::process
