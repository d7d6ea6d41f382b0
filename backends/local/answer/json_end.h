// Finds where a JSON object, list or text ends, while it comes in pieces.
//
// Looks at quotation marks and brackets alone: what lies between them may be no JSON.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway::local::answer {

class JsonEnd {
 public:
  // `depth` brackets are open already.
  explicit JsonEnd(int depth = 0) : depth_(depth) {}

  // How many of these bytes belong to the value; all, while it goes on.
  std::size_t push(std::string_view text);

  bool ended() const { return ended_; }

 private:
  int depth_;
  bool in_text_ = false;
  bool escaped_ = false;
  bool ended_ = false;
};

}  // namespace spillway::local::answer
