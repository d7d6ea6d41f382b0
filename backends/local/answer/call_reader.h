// Finds the calls in an answer, while it comes.
//
// One object an answer, used by one thread at a time. How the text was cut into pieces makes no
// difference to the parts, joined. A call is told as soon as its name is known, its arguments as
// they come, whatever they are: who is cut off in the middle has half of a call. What has the mark
// of a call and is none is content, mark and all; so is what comes before, between and after calls,
// less the blanks around these.
#pragma once

#include "backends/local/answer/answer_part.h"
#include "backends/local/answer/call_head.h"
#include "backends/local/answer/call_syntax.h"
#include "backends/local/answer/json_end.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::local::answer {

class CallReader {
 public:
  // A call that has no mark is one of `functions`, and the first that the answer says:
  // `from_the_start` is false if something was said before. `syntax` must outlive the reader.
  CallReader(const CallSyntax& syntax, std::vector<std::string> functions, bool from_the_start);

  void push(std::string_view text, Parts& parts);

  // No more comes.
  void finish(Parts& parts);

  bool in_call() const { return state_ == State::arguments; }

 private:
  enum class State {
    content,
    opening,    // What is held begins with a mark, or may be a call without.
    arguments,  // Being told.
    rest,       // What an object has behind its arguments.
    ending,     // The marks behind a call.
    following,  // Another call, or the end of all.
  };

  bool step(Parts& parts);
  bool read_content(Parts& parts);
  bool read_opening(Parts& parts);
  bool read_arguments(Parts& parts);
  bool read_rest();
  bool read_ending();
  bool read_following(Parts& parts);
  bool begin_call(CallHead head, Parts& parts);
  void tell_content(std::size_t bytes, Parts& parts);
  bool is_function(const std::string& name) const;

  const CallSyntax& syntax_;
  const std::vector<std::string> functions_;
  State state_ = State::content;
  std::string held_;
  bool nothing_said_;                    // A call may begin without a mark.
  bool behind_call_ = false;             // Nothing was said since a call but blanks.
  CallPlace place_ = CallPlace::marked;  // Of what is opening.
  JsonEnd end_;
  bool in_rest_ = false;  // Something is behind the arguments.
};

}  // namespace spillway::local::answer
