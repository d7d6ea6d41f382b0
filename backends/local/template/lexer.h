// Cuts a template's source into tokens, with Jinja2's whitespace rules as chat templates expect
// them: trim_blocks and lstrip_blocks on, one trailing newline dropped, `-` and `+` at a tag's edge
// as in Jinja2.
//
// Pure; any thread. Tokens own their text.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::templates {

enum class TokenKind {
  data,         // Literal text between tags.
  block_begin,  // {%
  block_end,
  variable_begin,  // {{
  variable_end,
  name,
  string,   // Unescaped.
  integer,  // Decimal digits only, whatever the source had.
  floating,
  punctuation,  // Operators, brackets, commas.
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  int line = 1;

  bool is(TokenKind of, std::string_view with) const { return kind == of && text == with; }
};

// The last token is `end`. Errors name the line.
Result<std::vector<Token>> tokenize(std::string_view source);

// What every error about a template's source looks like.
Error template_error(int line, std::string_view what);

}  // namespace spillway::templates
