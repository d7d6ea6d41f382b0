// Walks the members of a JSON object as raw text, so that a request can be forwarded member by
// member without parsing what is inside them.
//
// Pure; views into the text given. Requires text that a JSON parser has accepted before: brackets
// are balanced and strings are skipped right, but tokens are not checked.
#pragma once

#include <optional>
#include <string_view>

namespace spillway::cloud {

struct Member {
  std::string_view key;    // Between the quotes, escapes untouched.
  std::string_view value;  // The raw token, from its first byte to its last.
};

class MemberReader {
 public:
  // `object` may have white space around it.
  explicit MemberReader(std::string_view object);

  // The next member; nullopt at the end, or where the text stops being an object.
  std::optional<Member> next();

  // The closing brace has been reached and nothing comes after it.
  bool complete() const { return complete_; }

 private:
  std::string_view rest_;
  bool first_ = true;
  bool complete_ = false;
};

}  // namespace spillway::cloud
