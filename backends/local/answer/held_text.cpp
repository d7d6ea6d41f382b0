#include "backends/local/answer/held_text.h"

#include "backends/local/answer/json_end.h"

#include <algorithm>

namespace spillway::local::answer {
namespace {

bool is_of_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '.';
}

}  // namespace

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::size_t leading_blanks(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_blank) -
                                  text.begin());
}

std::size_t trailing_blanks(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.rbegin(), text.rend(), is_blank) -
                                  text.rbegin());
}

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(leading_blanks(text));
  text.remove_suffix(trailing_blanks(text));
  return text;
}

std::size_t find_begun(std::string_view text, std::string_view mark) {
  if (const auto whole = text.find(mark); whole != text.npos) return whole;
  for (std::size_t at = text.size() - std::min(text.size(), mark.size()); at < text.size(); ++at) {
    if (mark.starts_with(text.substr(at))) return at;
  }
  return text.size();
}

bool Cursor::take(std::string_view words) {
  for (words = without_blanks(words); !words.empty(); words = without_blanks(words)) {
    const auto word =
        words.substr(0, static_cast<std::size_t>(
                            std::find_if(words.begin(), words.end(), is_blank) - words.begin()));
    skip_blanks();
    if (!take_word(word)) return false;
    words.remove_prefix(word.size());
  }
  return true;
}

bool Cursor::take_word(std::string_view word) {
  const bool is_here = rest().starts_with(word);
  if (is_here) at_ += word.size();
  if (!is_here) cut_ = word.starts_with(rest());
  return is_here;
}

char Cursor::next() {
  skip_blanks();
  cut_ = rest().empty();
  return cut_ ? '\0' : rest().front();
}

std::string_view Cursor::name() {
  skip_blanks();
  const std::string_view here = rest();
  const auto size = static_cast<std::size_t>(
      std::find_if_not(here.begin(), here.end(), is_of_name) - here.begin());
  cut_ = size == here.size();
  at_ += size;
  return cut_ ? std::string_view() : here.substr(0, size);
}

std::string_view Cursor::value() {
  const char first = next();
  if (cut_) return {};
  const std::string_view here = rest();
  std::size_t size = 0;
  if (first == '"' || first == '{' || first == '[') {
    JsonEnd end;
    size = end.push(here);
    cut_ = !end.ended();
  } else {
    size = std::min(here.find_first_of(",]} \n\r\t"), here.size());
    cut_ = size == here.size();
  }
  if (cut_) return {};
  at_ += size;
  return here.substr(0, size);
}

}  // namespace spillway::local::answer
