// How much of a JSON answer is what a model wrote, counted while it comes: it may break off
// anywhere.
//
// Text, thoughts and the arguments of calls, by the names that dialects have for them, in bytes of
// UTF-8; neither logprobs nor sound. Thoughts are told under several names at once by some, and
// count once. Plain values of the cloud thread.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::cloud {

class WrittenBytes {
 public:
  // The next bytes of the JSON, cut anywhere.
  void take(std::string_view json);

  std::size_t bytes() const;

 private:
  enum Kind { kWords, kReasoning, kReasoningContent, kReasoningDetails, kKinds };

  void take_in_string(char byte);
  void take_escaped(char byte);
  void take_between(char byte);
  void open(char bracket);
  void close();
  std::optional<Kind> kind_of(std::string_view member) const;
  void count(std::size_t bytes) { told_[*counts_] += bytes; }

  std::string last_;    // What the last string said, as far as it may be a member's name.
  std::string member_;  // Whose value comes; empty: nobody's.
  bool in_string_ = false;
  bool escaped_ = false;
  int hex_left_ = 0;  // Of an escape such as \u00e9.
  unsigned code_ = 0;
  std::optional<Kind> counts_;  // What a string here is.
  int depth_ = 0;
  int call_depth_ = 0;     // In the arguments of a call that are told as an object; 0: not.
  int details_depth_ = 0;  // In reasoning_details.
  std::array<std::size_t, kKinds> told_{};
};

}  // namespace spillway::cloud
