// What a verb has read of its options and files, or the status that it exits with because it could
// not. The reason has been printed.
#pragma once

#include "gateway/verbs/verbs.h"

#include <optional>
#include <utility>

namespace spillway::verbs {

template <class T>
class Given {
 public:
  Given(T value) : value_(std::move(value)) {}
  Given(int exit_status) : exit_status_(exit_status) {}

  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  int exit_status() const { return exit_status_; }

 private:
  std::optional<T> value_;
  int exit_status_ = kDone;
};

}  // namespace spillway::verbs
