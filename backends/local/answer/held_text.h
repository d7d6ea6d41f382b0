// Text that is held back until it is clear what it is: what of it can be told already, and reading
// it from its beginning.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::local::answer {

bool is_blank(char c);
std::size_t leading_blanks(std::string_view text);
std::size_t trailing_blanks(std::string_view text);
std::string_view without_blanks(std::string_view text);  // At both ends.

// Where `mark` begins in `text`, or what of it might be its beginning; text.size() if nothing.
std::size_t find_begun(std::string_view text, std::string_view mark);

// Reads text from its beginning. What is false is wrong, unless cut(): the text ended too early to
// tell.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  void skip_blanks() { at_ += leading_blanks(rest()); }

  // The words of `words`, with or without blanks before each.
  bool take(std::string_view words);

  // The next byte after blanks; 0 if there is none.
  char next();

  // A word of letters, digits and what else names have in them, up to something else; empty if
  // that is not there.
  std::string_view name();

  // A JSON value as it is written; empty if none begins here.
  std::string_view value();

  std::size_t at() const { return at_; }
  bool cut() const { return cut_; }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool take_word(std::string_view word);

  std::string_view text_;
  std::size_t at_ = 0;
  bool cut_ = false;
};

}  // namespace spillway::local::answer
