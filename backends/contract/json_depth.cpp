#include "backends/contract/json_depth.h"

namespace spillway {

namespace {

// Stops counting past `limit`. `find` is memchr, far faster than a loop here.
int count_up_to(std::string_view text, char wanted, int limit) {
  int count = 0;
  for (auto at = text.find(wanted); at != text.npos && count <= limit; ++count) {
    at = text.find(wanted, at + 1);
  }
  return count;
}

}  // namespace

bool nests_deeper_than(std::string_view text, int depth_max) {
  // Nearly every request has fewer brackets than that in all, and counting them is cheap.
  const int opens = count_up_to(text, '[', depth_max) + count_up_to(text, '{', depth_max);
  if (opens <= depth_max) return false;
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > depth_max) return true;
  }
  return false;
}

}  // namespace spillway
