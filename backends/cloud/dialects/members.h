// Walks JSON objects and lists as raw text, so that a request can be forwarded, and an answer read,
// member by member without building what is inside them.
//
// Pure; views into the text given. Requires text that a JSON parser has accepted before: brackets
// are balanced and strings are skipped right, but tokens are not checked.
#pragma once

#include "backends/contract/error.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud {

struct Member {
  std::string_view key;    // Between the quotes, escapes untouched.
  std::string_view value;  // The raw token, from its first byte to its last.

  // Compares as JSON means it: "\u006dodel" is "model".
  bool is(std::string_view name) const;
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

// A member of an object that may have given it several times.
struct Field {
  std::string key;           // What it says, escapes resolved.
  std::string_view written;  // As it is spelled the first time, in JSON.
  std::string_view value;    // The last one: it counts for whoever parses the object.
};

// Each once, in the order of their first mention; invalid_request where the text stops being an
// object.
Result<std::vector<Field>> fields_of(std::string_view object);

// The same for a list's elements.
class ElementReader {
 public:
  explicit ElementReader(std::string_view list);
  std::optional<std::string_view> next();

 private:
  std::string_view rest_;
  bool first_ = true;
};

// The raw token of an object's member of this name; empty if it is absent or null.
std::string_view member_of(std::string_view object, std::string_view name);

// Appends `"key":value` to the members of an object, less what is null.
void append_member(const Member& member, std::string& members);

// A count between 0 and what an int holds, whatever the token says.
int count_of(std::string_view token);

// Such a token counts nothing.
bool is_negative(std::string_view token);

// What a string token says; nullopt for other tokens, and for text that is no Unicode.
std::optional<std::string> text_of(std::string_view token);

// What an object's member of this name says; empty if it is absent or no text.
std::string text_in(std::string_view object, std::string_view name);

// What a key says, escapes resolved; empty if it is no Unicode.
std::string text_of_key(std::string_view key);

// `text` as a string token; what is no Unicode in it is replaced.
std::string quoted(std::string_view text);

}  // namespace spillway::cloud
