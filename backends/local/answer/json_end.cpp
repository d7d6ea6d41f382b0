#include "backends/local/answer/json_end.h"

namespace spillway::local::answer {

std::size_t JsonEnd::push(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && !ended_) {
    const char c = text[at++];
    if (escaped_) {
      escaped_ = false;
    } else if (in_text_) {
      escaped_ = c == '\\';
      in_text_ = c != '"';
      ended_ = !in_text_ && depth_ == 0;
    } else if (c == '"') {
      in_text_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      ended_ = --depth_ <= 0;
    }
  }
  return at;
}

}  // namespace spillway::local::answer
