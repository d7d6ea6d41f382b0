// One JSON object on one line, written field by field. Always valid JSON and valid UTF-8, whatever
// the values hold: control characters are escaped, bytes that are no UTF-8 become U+FFFD, long
// texts are cut. A plain value for one thread; `clear` keeps its memory for the next line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::telemetry {

class JsonLine {
 public:
  static constexpr std::size_t kTextBytesMax = 2'048;

  void clear() { line_.clear(); }

  // Field names are ours: they need no escaping.
  void text(std::string_view name, std::string_view value);
  void integer(std::string_view name, std::int64_t value);
  void decimal(std::string_view name, double value);  // Three places; null past 1e12.
  void flag(std::string_view name, bool value);

  // An array of objects: open_array, then next_object before each one's fields, then close_array.
  void open_array(std::string_view name);
  void next_object();
  void close_array();

  // The line with its newline. Call once, after the last field.
  const std::string& finish();

 private:
  void name(std::string_view name);

  std::string line_;
  bool object_open_ = false;  // Inside an array.
};

}  // namespace spillway::telemetry
