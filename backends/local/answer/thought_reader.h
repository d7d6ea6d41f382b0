// Parts what a model thinks from what it says, while it comes: an answer begins with a thought, if
// at all, in marks of which the prompt may have had the first.
//
// One object an answer, used by one thread at a time. How the text was cut into pieces makes no
// difference. Blanks around a thought belong to nobody; a thought that is never ended goes on to
// the end of the answer.
#pragma once

#include "backends/local/answer/answer_part.h"

#include <string>
#include <string_view>

namespace spillway::local::answer {

inline constexpr std::string_view kThoughtBegins = "<think>";
inline constexpr std::string_view kThoughtEnds = "</think>";

// Whether a model with this chat template thinks before it speaks.
bool thinks(std::string_view chat_template);

// Whether an answer to this prompt begins in the middle of a thought.
bool is_thinking(std::string_view end_of_prompt);

class ThoughtReader {
 public:
  explicit ThoughtReader(bool is_thinking)
      : state_(is_thinking ? State::begun : State::undecided) {}

  // Reasoning is told; what is said is returned.
  std::string push(std::string_view text, Parts& parts);

  // No more comes.
  std::string finish(Parts& parts);

  bool in_thought() const { return state_ == State::begun || state_ == State::thinking; }

 private:
  enum class State {
    undecided,
    begun,  // Nothing of the thought is there but blanks.
    thinking,
    ended,  // Nothing is said yet but blanks.
    speaking,
  };

  bool step(Parts& parts);
  bool decide();
  bool think(Parts& parts);

  State state_;
  std::string held_;
};

}  // namespace spillway::local::answer
