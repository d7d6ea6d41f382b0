// Values as bytes, for another process of this program on this machine: there are no versions, and
// numbers lie as they do in memory. Reading checks lengths, and throws std::runtime_error where
// there is less than they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace spillway::local::grammar {

class Packer {
 public:
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put(const std::vector<T>& values) {
    put(std::uint64_t{values.size()});
    if (!values.empty())
      bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void put(const std::string& text) {
    put(std::uint64_t{text.size()});
    bytes_ += text;
  }
  void put(const std::vector<std::string>& texts) {
    put(std::uint64_t{texts.size()});
    for (const std::string& text : texts) put(text);
  }

  std::string take() { return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  template <class T>
    requires std::is_trivially_copyable_v<T>
  void get(T& value) {
    std::memcpy(static_cast<void*>(&value), next(1, sizeof value), sizeof value);
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void get(std::vector<T>& values) {
    const auto size = get<std::uint64_t>();
    const char* const begin = next(size, sizeof(T));
    values.resize(size);
    if (size > 0) std::memcpy(static_cast<void*>(values.data()), begin, size * sizeof(T));
  }
  void get(std::string& text) {
    const auto size = get<std::uint64_t>();
    text.assign(next(size, 1), size);
  }
  void get(std::vector<std::string>& texts) {
    texts.resize(length(sizeof(std::uint64_t)));
    for (std::string& text : texts) get(text);
  }
  template <class T>
  T get() {
    T value{};
    get(value);
    return value;
  }

  // Of things that take so many bytes each, at least.
  std::uint64_t length(std::size_t bytes_each) {
    const auto size = get<std::uint64_t>();
    if (size > rest_.size() / bytes_each) throw std::runtime_error("there is less than it says");
    return size;
  }

 private:
  const char* next(std::uint64_t count, std::size_t bytes_each) {
    if (count > rest_.size() / bytes_each) throw std::runtime_error("there is less than it says");
    const char* const begin = rest_.data();
    rest_.remove_prefix(count * bytes_each);
    return begin;
  }

  std::string_view rest_;
};

}  // namespace spillway::local::grammar
