// The words of an expression: the text cut into tokens, each with its place. Pure.
#pragma once

#include "config/language/fact.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::language {

// What is wrong with an expression, and where in its text (bytes from 0).
struct Mistake {
  std::size_t at = 0;
  std::string message;
  std::string unknown = {};             // A word that means nothing…
  std::vector<std::string> known = {};  // …and those that would.
};

enum class TokenKind {
  word,     // class, queue.tokens, and, or, not, in, true, false
  literal,  // 9000, 20%, 800ms, 0.02usd, 22:00, 'text'
  symbol,   // ( ) [ ] , + - * / < <= > >= == !=
  name,     // What stands in the parentheses behind a word: a target.
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::size_t at = 0;
  std::size_t end = 0;    // One past its last byte.
  std::string_view text;  // As written; of a quoted text what is between the quotes.
  Type type = Type::number;
  double number = 0.0;  // Of a literal that is no text.
};

// Ends with a token of kind `end`. The tokens point into `text`.
std::variant<std::vector<Token>, Mistake> tokens_of(std::string_view text);

}  // namespace spillway::language
