// Whether a call's arguments, which come in pieces, are whole: the object that they began has
// ended.
#pragma once

#include <string_view>

namespace spillway::anthropic {

class Arguments {
 public:
  void add(std::string_view piece) {
    for (const char c : piece) add(c);
  }

  bool whole() const { return whole_; }

 private:
  void add(char c) {
    if (in_text_) {
      in_text_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
      return;
    }
    in_text_ = c == '"';
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') whole_ = --depth_ <= 0;
  }

  int depth_ = 0;
  bool in_text_ = false, escaped_ = false;
  bool whole_ = false;
};

}  // namespace spillway::anthropic
