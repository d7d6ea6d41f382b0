// The events of a streamed response: names, numbers and frames. Of one request's coroutine; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

class Events {
 public:
  // Whole answers make the same events and tell none.
  explicit Events(bool told) : told_(told) {}

  // `members` is what stands behind the type and the number, without braces.
  void add(std::string_view type, std::string_view members);

  // What has been added since the last call.
  std::string take();

 private:
  const bool told_;
  std::int64_t next_ = 0;
  std::string text_;
};

// One or more whole events, as they are sent: each by itself, and what one of them says.
std::vector<std::string> split_events(std::string_view text);
std::string_view data_of(std::string_view event);

}  // namespace spillway::responses
