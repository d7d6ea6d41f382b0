#include "backends/local/answer/answer_reader.h"

namespace spillway::local::answer {

bool is_mark(const AnswerStyle& style, std::string_view text) {
  if (text.empty()) return false;
  if (style.thinks && (text == kThoughtBegins || text == kThoughtEnds)) return true;
  if (style.calls == nullptr) return false;
  const CallSyntax& calls = *style.calls;
  for (const std::string_view marks : {calls.open, calls.begin, calls.before_name, calls.after_name,
                                       calls.end, calls.close, calls.mark}) {
    if (marks.find(text) != marks.npos) return true;
  }
  return calls.short_ids && text == kCallIdMark;
}

AnswerReader::AnswerReader(const Expected& expected) {
  if (expected.thoughts) thoughts_.emplace(expected.is_thinking);
  if (expected.calls != nullptr)
    calls_.emplace(*expected.calls, expected.functions, !expected.is_begun);
}

Parts AnswerReader::push(std::string_view text) {
  Parts parts;
  if (thoughts_) {
    say(thoughts_->push(text, parts), parts);
  } else {
    say(text, parts);
  }
  return parts;
}

Parts AnswerReader::finish() {
  Parts parts;
  if (thoughts_) say(thoughts_->finish(parts), parts);
  if (calls_) calls_->finish(parts);
  return parts;
}

void AnswerReader::say(std::string_view text, Parts& parts) {
  if (calls_) {
    calls_->push(text, parts);
  } else {
    tell(parts, Part::Kind::content, text);
  }
}

}  // namespace spillway::local::answer
