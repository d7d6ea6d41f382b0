// A list that is usually short, and then needs no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace spillway::policy {

template <class T>
class ShortList {
 public:
  static constexpr std::size_t kShort = 20;  // The most that attempts_max may be, too.

  void push_back(const T& item) {
    if (size_ < kShort) {
      items_[size_++] = item;
      return;
    }
    if (size_ == kShort) all_.assign(items_.begin(), items_.end());
    all_.push_back(item);
    ++size_;
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return begin()[i]; }
  const T& operator[](std::size_t i) const { return begin()[i]; }
  const T& front() const { return *begin(); }
  T* begin() { return size_ > kShort ? all_.data() : items_.data(); }
  T* end() { return begin() + size_; }
  const T* begin() const { return size_ > kShort ? all_.data() : items_.data(); }
  const T* end() const { return begin() + size_; }

 private:
  std::array<T, kShort> items_;
  std::vector<T> all_;  // Once there are more.
  std::size_t size_ = 0;
};

}  // namespace spillway::policy
