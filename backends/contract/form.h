// What an answer is held to: nothing else can be said. Plain values.
#pragma once

#include <string>
#include <vector>

namespace spillway {

struct Form {
  enum class Kind {
    json,     // One JSON value, an object.
    schema,   // JSON that fits the JSON schema in `text`.
    regex,    // What the regular expression in `text` matches as a whole.
    choice,   // One of `choices`.
    grammar,  // What the EBNF grammar in `text` (GBNF's kind) says; its first rule is `root`.
    tags,     // What the structural tag (xgrammar's kind, JSON) in `text` says.
  };
  Kind kind = Kind::json;
  std::string text;
  std::vector<std::string> choices;
  std::string field;  // Of the request, by which it was asked for.

  bool operator==(const Form&) const = default;
};

}  // namespace spillway
