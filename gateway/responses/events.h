// The events of a streamed response: names, numbers and frames. Of one request's coroutine; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

class Transcript;

// What stands before an event's number.
constexpr std::string_view kNumberMark = "\"sequence_number\":";

class Events {
 public:
  // Whole answers make the same events and tell none. `next` is the number of the first; what is
  // told is noted in `transcript`, if there is one, which must outlive this.
  explicit Events(bool told, std::int64_t next = 0, Transcript* transcript = nullptr)
      : told_(told), next_(next), transcript_(transcript) {}

  // `members` is what stands behind the type and the number, without braces.
  void add(std::string_view type, std::string_view members);

  // What has been added since the last call.
  std::string take();

 private:
  const bool told_;
  std::int64_t next_;
  Transcript* const transcript_;
  std::string text_;
};

// One or more whole events, as they are sent: each by itself, and what one of them says.
std::vector<std::string> split_events(std::string_view text);
std::string_view data_of(std::string_view event);

}  // namespace spillway::responses
