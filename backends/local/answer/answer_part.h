// What an answer consists of, in the order in which it was written. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::answer {

struct Part {
  enum class Kind {
    content,
    reasoning,
    call,       // A call begins: of the function `text`.
    arguments,  // Of the call that began last: more of its JSON.
  };
  Kind kind = Kind::content;
  std::string text;

  bool operator==(const Part&) const = default;
};

using Parts = std::vector<Part>;

// Parts of nothing are not told.
inline void tell(Parts& parts, Part::Kind kind, std::string_view text) {
  if (!text.empty()) parts.push_back({kind, std::string(text)});
}

}  // namespace spillway::local::answer
