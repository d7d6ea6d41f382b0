// The parser's place in the tokens, and the first thing that went wrong.
//
// One parse, one thread. After a failure every look returns the end token, so that parsing winds
// down by itself.
#pragma once

#include "backends/local/template/lexer.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::templates {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const {
    const std::size_t at = at_ + ahead;
    return failed_ || at >= tokens_.size() ? tokens_.back() : tokens_[at];
  }
  int line() const { return peek().line; }

  Token next() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool at_end() const { return peek().kind == TokenKind::end; }
  bool sees(std::string_view punctuation) const {
    return peek().is(TokenKind::punctuation, punctuation);
  }
  bool sees_name(std::string_view name) const { return peek().is(TokenKind::name, name); }

  // Consumes the token if it is the one named.
  bool accept(std::string_view punctuation) { return sees(punctuation) && (next(), true); }
  bool accept_name(std::string_view name) { return sees_name(name) && (next(), true); }

  void expect(std::string_view punctuation) {
    if (!accept(punctuation)) fail("expected '" + std::string(punctuation) + "'" + found());
  }
  void expect_name(std::string_view name) {
    if (!accept_name(name)) fail("expected '" + std::string(name) + "'" + found());
  }
  void expect(TokenKind kind, std::string_view what) {
    if (peek().kind != kind) return fail("expected " + std::string(what) + found());
    next();
  }
  std::string expect_any_name() {
    if (peek().kind == TokenKind::name) return next().text;
    fail("expected a name" + found());
    return {};
  }

  bool failed() const { return failed_; }
  const Error& error() const { return error_; }

  // Only the first failure counts.
  void fail(std::string_view what) {
    if (failed_) return;
    error_ = template_error(line(), what);
    failed_ = true;
    tokens_.back() = {TokenKind::end, {}, line()};
  }

  std::string found() const { return ", found '" + peek().text + "'"; }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  bool failed_ = false;
  Error error_;
};

}  // namespace spillway::templates
