// Server-sent events out of a byte stream that may be cut anywhere: any split gives the same
// events.
//
// One parser a response, one thread. Takes LF, CR and CRLF, comments, several data lines, a leading
// byte order mark. Events that are large, such as pictures, share a room in memory.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace spillway::cloud {

class SseParser {
 public:
  // Longest line, and most data in one event, in bytes.
  static constexpr std::size_t kBytesMax = 8 << 20;

  SseParser() = default;
  ~SseParser() { give_back(); }
  SseParser(const SseParser&) = delete;
  SseParser& operator=(const SseParser&) = delete;

  // Gets an event's type (empty if not given) and data; both views end with the call. False stops.
  using OnEvent = std::function<bool(std::string_view type, std::string_view data)>;

  // Hands each event that `bytes` completes to `on_event`, in order. False once a line or event is
  // over kBytesMax, or large while others' fill the room, or `on_event` said stop; then the parser
  // must not be fed again.
  [[nodiscard]] bool feed(std::string_view bytes, const OnEvent& on_event);

  // The stream is over: hands on what has no blank line behind it, which may have been cut.
  void end(const OnEvent& on_event);

 private:
  bool end_line(std::string_view line, const OnEvent& on_event);
  bool dispatch(const OnEvent& on_event);
  bool may_hold(std::size_t more);
  void give_back();

  std::string line_;  // Begun in an earlier call.
  std::string type_;
  std::string data_;       // Each data line with a newline after it.
  bool has_room_ = false;  // For what is large.
  bool first_line_ = true;
  bool after_cr_ = false;  // A line feed that comes next belongs to the carriage return before it.
};

}  // namespace spillway::cloud
