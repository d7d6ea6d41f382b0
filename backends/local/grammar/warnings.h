// What xgrammar has to remark while it reads a form: that it leaves something out, mostly.
#pragma once

#include <string>

namespace spillway::local::grammar {

// Collects the remarks made on this thread while it lives. One at a time.
class Warnings {
 public:
  Warnings();
  ~Warnings();
  Warnings(const Warnings&) = delete;

  // Empty: none.
  const std::string& first() const { return first_; }
  void add(const std::string& warning);

 private:
  std::string first_;
};

}  // namespace spillway::local::grammar
