// How much of a JSON answer is what a model wrote, counted while it comes: it may break off
// anywhere.
//
// Text, thoughts and the arguments of calls, by the names that dialects have for them; neither
// logprobs nor sound. Plain values of the cloud thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::cloud {

class WrittenBytes {
 public:
  // The next bytes of the JSON, cut anywhere.
  void take(std::string_view json);

  std::size_t bytes() const { return bytes_; }

 private:
  void take_in_string(char byte);

  std::string last_;  // What the last string said, as far as it may be a member's name.
  bool in_string_ = false;
  bool escaped_ = false;
  bool counts_ = false;  // A string here is what a model wrote.
  std::size_t bytes_ = 0;
};

}  // namespace spillway::cloud
