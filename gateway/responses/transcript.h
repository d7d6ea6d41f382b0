// The events of a stream as they are kept, so that they can be told again as they were: cut at the
// same places, under the same numbers.
//
// An event mostly differs from the one before it in a few words, and only those are written down.
// Pure; of one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

class Transcript {
 public:
  // The next event, as it is sent.
  void add(std::string_view event);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string last_;  // The event before, without its number.
};

// The events that such a text was made of; those before a place that is damaged.
std::vector<std::string> events_in(std::string_view transcript);

}  // namespace spillway::responses
