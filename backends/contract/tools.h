// What an answer may call instead of, or beside, saying something: functions of the client's. Plain
// values.
#pragma once

#include <string>
#include <vector>

namespace spillway {

struct Function {
  std::string name;
  std::string parameters;  // A JSON schema; empty: it takes none, or whatever it likes.
  bool strict = false;     // Its arguments must fit the schema.
  std::string field = {};  // Of the request, where the schema stands.
};

struct Tools {
  std::string text;                 // All of them as the client wrote them: a JSON array.
  std::vector<Function> functions;  // Those that may be called; empty: none of them now.
  bool must_call = false;           // Nothing else may be said.
  bool one_call = false;            // At most.
};

// A call that an earlier turn made.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON, or what a model took for it.
};

}  // namespace spillway
