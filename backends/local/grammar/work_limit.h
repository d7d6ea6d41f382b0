// Ends what a matcher looks up when it has taken too long: xgrammar itself cannot be stopped, but
// counts its work here (xgrammar/CMakeLists.txt has it do so).
//
// A WorkLimit holds for the thread that makes it while it lives; one a thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace spillway::local::grammar {

// What goes through a matcher when it has done too much; it is of no use then. No std::exception:
// these say that a form is not understood.
struct TooMuchWork {};

class WorkLimit {
 public:
  // Of this thread's processor alone, so that a busy machine makes no form slow.
  explicit WorkLimit(std::chrono::nanoseconds most);
  ~WorkLimit();
  WorkLimit(const WorkLimit&) = delete;
  WorkLimit& operator=(const WorkLimit&) = delete;

  std::chrono::nanoseconds taken() const;

 private:
  friend void count_work(std::size_t);
  void check() const;

  const std::chrono::nanoseconds began_;
  const std::chrono::nanoseconds most_;
};

// A piece is a state of a parser that is looked at, or as much as that. Throws TooMuchWork where
// this thread's limit is passed.
void count_work(std::size_t pieces = 1);

// All that this thread has counted.
std::uint64_t work_counted();

}  // namespace spillway::local::grammar
