#include "gateway/openai/json_depth.h"

#include <algorithm>

namespace spillway::openai {

bool nests_deeper_than(std::string_view text, int depth_max) {
  // Nearly every request has fewer brackets than that in all; counting them is many times faster
  // than following them.
  const auto opens =
      std::count(text.begin(), text.end(), '[') + std::count(text.begin(), text.end(), '{');
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

}  // namespace spillway::openai
