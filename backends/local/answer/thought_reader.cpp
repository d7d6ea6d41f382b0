#include "backends/local/answer/thought_reader.h"

#include "backends/local/answer/held_text.h"

#include <utility>

namespace spillway::local::answer {

bool thinks(std::string_view chat_template) {
  const auto has = [&](std::string_view mark) { return chat_template.find(mark) != mark.npos; };
  return has(kThoughtBegins) || has(kThoughtEnds);
}

bool is_thinking(std::string_view end_of_prompt) {
  return without_blanks(end_of_prompt).ends_with(kThoughtBegins);
}

std::string ThoughtReader::push(std::string_view text, Parts& parts) {
  held_ += text;
  while (!held_.empty() && state_ != State::speaking && step(parts)) {
  }
  return state_ == State::speaking ? std::exchange(held_, {}) : std::string();
}

std::string ThoughtReader::finish(Parts& parts) {
  if (state_ == State::undecided) return std::exchange(held_, {});
  if (state_ == State::thinking) tell(parts, Part::Kind::reasoning, held_);
  held_.clear();
  return {};
}

// False: more is needed.
bool ThoughtReader::step(Parts& parts) {
  if (state_ == State::undecided) return decide();
  if (state_ == State::thinking) return think(parts);
  held_.erase(0, leading_blanks(held_));
  if (held_.empty()) return false;
  state_ = state_ == State::begun ? State::thinking : State::speaking;
  return true;
}

bool ThoughtReader::decide() {
  Cursor cursor(held_);
  const bool thinks = cursor.take(kThoughtBegins);
  if (cursor.cut()) return false;
  if (thinks) held_.erase(0, cursor.at());
  state_ = thinks ? State::begun : State::speaking;
  return true;
}

bool ThoughtReader::think(Parts& parts) {
  const std::size_t mark = find_begun(held_, kThoughtEnds);
  const std::size_t thought = mark - trailing_blanks(std::string_view(held_).substr(0, mark));
  tell(parts, Part::Kind::reasoning, std::string_view(held_).substr(0, thought));
  held_.erase(0, thought);
  const std::string_view rest = std::string_view(held_).substr(mark - thought);
  if (!rest.starts_with(kThoughtEnds)) return false;
  held_.erase(0, mark - thought + kThoughtEnds.size());
  state_ = State::ended;
  return true;
}

}  // namespace spillway::local::answer
