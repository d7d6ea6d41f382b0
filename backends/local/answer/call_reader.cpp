#include "backends/local/answer/call_reader.h"

#include "backends/local/answer/held_text.h"

#include <algorithm>
#include <utility>

namespace spillway::local::answer {

CallReader::CallReader(const CallSyntax& syntax, std::vector<std::string> functions,
                       bool from_the_start)
    : syntax_(syntax), functions_(std::move(functions)), nothing_said_(from_the_start) {}

void CallReader::push(std::string_view text, Parts& parts) {
  held_ += text;
  while (!held_.empty() && step(parts)) {
  }
}

void CallReader::finish(Parts& parts) {
  const bool is_of_call = state_ == State::rest || state_ == State::ending;
  const bool is_mark = state_ == State::following &&
                       (syntax_.close.starts_with(without_blanks(held_)) ||
                        without_blanks(syntax_.between).starts_with(without_blanks(held_)));
  const bool is_blank_behind = behind_call_ && leading_blanks(held_) == held_.size();
  if (is_of_call || is_mark || is_blank_behind) held_.clear();
  tell_content(held_.size(), parts);
}

// False: more is needed.
bool CallReader::step(Parts& parts) {
  switch (state_) {
    case State::content: return read_content(parts);
    case State::opening: return read_opening(parts);
    case State::arguments: return read_arguments(parts);
    case State::rest: return read_rest();
    case State::ending: return read_ending();
    case State::following: return read_following(parts);
  }
  return false;
}

bool CallReader::read_content(Parts& parts) {
  if (behind_call_) held_.erase(0, leading_blanks(held_));
  const std::size_t blanks = leading_blanks(held_);
  if (blanks == held_.size()) return false;
  if (nothing_said_ && syntax_.unmarked && held_[blanks] == '{') {
    place_ = CallPlace::unmarked;
    state_ = State::opening;
    return true;
  }
  const std::size_t mark = find_begun(held_, syntax_.mark);
  // Blanks before a mark are not told: there may be more of them, and a mark after these.
  const std::size_t said = mark - trailing_blanks(std::string_view(held_).substr(0, mark));
  tell_content(said, parts);
  if (!without_blanks(held_).starts_with(syntax_.mark)) return false;
  place_ = CallPlace::marked;
  state_ = State::opening;
  return true;
}

bool CallReader::read_opening(Parts& parts) {
  const std::size_t blanks = leading_blanks(held_);
  auto found = find_head(syntax_, place_, std::string_view(held_).substr(blanks));
  if (found.cut) return false;
  const bool is_unmarked = place_ == CallPlace::unmarked;
  if (found.head && (!is_unmarked || is_function(found.head->name))) {
    found.head->size += blanks;
    return begin_call(std::move(*found.head), parts);
  }
  state_ = State::content;
  tell_content(blanks + (is_unmarked ? 1 : syntax_.mark.size()), parts);
  return true;
}

bool CallReader::begin_call(CallHead head, Parts& parts) {
  nothing_said_ = false;
  behind_call_ = true;
  held_.erase(0, head.size);
  tell(parts, Part::Kind::call, head.name);
  if (head.arguments) tell(parts, Part::Kind::arguments, *head.arguments);
  state_ = head.arguments ? State::ending : State::arguments;
  end_ = JsonEnd();
  return true;
}

bool CallReader::read_arguments(Parts& parts) {
  const std::size_t size = end_.push(held_);
  tell(parts, Part::Kind::arguments, std::string_view(held_).substr(0, size));
  held_.erase(0, size);
  if (!end_.ended()) return false;
  const bool in_object = syntax_.body == CallSyntax::Body::object;
  state_ = in_object ? State::rest : State::ending;
  end_ = JsonEnd(1);
  return true;
}

bool CallReader::read_rest() {
  Cursor cursor(held_);
  const char next = cursor.next();
  if (cursor.cut()) return false;
  const bool goes_on = next == ',' || next == '}' || in_rest_;
  in_rest_ = goes_on;
  if (goes_on) held_.erase(0, end_.push(held_));
  if (goes_on && !end_.ended()) return false;
  in_rest_ = false;
  state_ = State::ending;
  return true;
}

// Models forget these marks: what is not there is not missed.
bool CallReader::read_ending() {
  Cursor cursor(held_);
  const bool in_object = syntax_.body == CallSyntax::Body::object;
  for (const std::string_view mark :
       {in_object ? std::string_view() : syntax_.after_arguments, syntax_.end}) {
    if (!cursor.take(mark) && cursor.cut()) return false;
  }
  held_.erase(0, cursor.at());
  state_ = State::following;
  return true;
}

bool CallReader::read_following(Parts& parts) {
  auto found = find_head(syntax_, CallPlace::following, held_);
  if (found.head && (!syntax_.unmarked || is_function(found.head->name)))
    return begin_call(std::move(*found.head), parts);
  Cursor cursor(held_);
  const bool closes = !syntax_.close.empty() && cursor.take(syntax_.close);
  if (closes) held_.erase(0, cursor.at());
  if (!closes && (found.cut || cursor.cut())) return false;
  state_ = State::content;
  return true;
}

// The first bytes of what is held.
void CallReader::tell_content(std::size_t bytes, Parts& parts) {
  if (bytes == 0) return;
  nothing_said_ = behind_call_ = false;
  tell(parts, Part::Kind::content, std::string_view(held_).substr(0, bytes));
  held_.erase(0, bytes);
}

bool CallReader::is_function(const std::string& name) const {
  return std::find(functions_.begin(), functions_.end(), name) != functions_.end();
}

}  // namespace spillway::local::answer
