// What an answer says, told apart as it comes: thought first, then content and calls.
//
// One object an answer, used by one thread at a time.
#pragma once

#include "backends/local/answer/answer_part.h"
#include "backends/local/answer/call_reader.h"
#include "backends/local/answer/thought_reader.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::answer {

// How a model writes its answers. Plain values.
struct AnswerStyle {
  const CallSyntax* calls = nullptr;  // Null: it calls nothing.
  bool thinks = false;
};

// Whether a token of the model's that says `text` is of use here alone: what calls and thoughts are
// marked with.
bool is_mark(const AnswerStyle& style, std::string_view text);

// What to expect in one answer.
struct Expected {
  const CallSyntax* calls = nullptr;  // Null: all is content.
  std::vector<std::string> functions;
  bool thoughts = false;
  bool is_thinking = false;  // It begins in the middle of one.
  bool is_begun = false;     // Something was said before.

  bool anything() const { return calls != nullptr || thoughts; }
};

class AnswerReader {
 public:
  explicit AnswerReader(const Expected& expected);

  Parts push(std::string_view text);
  Parts finish();  // No more comes.

  bool in_call() const { return calls_ && calls_->in_call(); }
  bool in_thought() const { return thoughts_ && thoughts_->in_thought(); }

 private:
  void say(std::string_view text, Parts& parts);

  std::optional<ThoughtReader> thoughts_;
  std::optional<CallReader> calls_;
};

}  // namespace spillway::local::answer
