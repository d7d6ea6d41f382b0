#include "backends/local/template/parser.h"

#include "backends/local/template/expression_parser.h"
#include "backends/local/template/token_stream.h"

#include <initializer_list>

namespace spillway::templates {
namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Result<Body> run() {
    Body body = statements({});
    if (!tokens_.at_end() && !tokens_.failed()) tokens_.fail("unexpected tag" + tokens_.found());
    if (tokens_.failed()) return tokens_.error();
    return body;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  Statement statement(StatementKind kind) const {
    Statement made;
    made.kind = kind;
    made.line = tokens_.line();
    return made;
  }

  // Statements up to one of these tags, whose "{%" is consumed and whose name is next.
  Body statements(Names ends) {
    Body body;
    if (++depth_ > kSyntaxDepthMax) tokens_.fail("blocks nest too deeply");
    while (!tokens_.at_end()) {
      const Token token = tokens_.next();
      if (token.kind == TokenKind::data) {
        body.push_back(statement(StatementKind::text));
        body.back().name = token.text;
      } else if (token.kind == TokenKind::variable_begin) {
        body.push_back(statement(StatementKind::output));
        body.back().expressions.push_back(expressions_.expression_or_tuple());
        tokens_.expect(TokenKind::variable_end, "'}}'");
      } else {
        if (sees_any(ends)) break;
        tag(body);
      }
    }
    --depth_;
    return body;
  }

  bool sees_any(Names names) const {
    for (const std::string_view name : names) {
      if (tokens_.sees_name(name)) return true;
    }
    return false;
  }

  // The body of a block, then its end tag.
  Body block(std::string_view end) {
    Body body = statements({end});
    end_tag(end);
    return body;
  }

  void end_tag(std::string_view name) {
    tokens_.expect_name(name);
    if (name == "endmacro" && tokens_.peek().kind == TokenKind::name) tokens_.next();
    tokens_.expect(TokenKind::block_end, "'%}'");
  }

  void close_tag() { tokens_.expect(TokenKind::block_end, "'%}'"); }

  // After "{%".
  void tag(Body& body) {
    const std::string name = tokens_.peek().text;
    if (tokens_.accept_name("if"))
      body.push_back(branch());
    else if (tokens_.accept_name("for"))
      body.push_back(loop());
    else if (tokens_.accept_name("set"))
      body.push_back(set());
    else if (tokens_.accept_name("macro"))
      body.push_back(macro());
    else if (tokens_.accept_name("call"))
      body.push_back(call_block());
    else if (tokens_.accept_name("filter"))
      body.push_back(filter_block());
    else if (tokens_.accept_name("with"))
      body.push_back(with());
    else if (tokens_.accept_name("generation"))
      body.push_back(generation());
    else if (tokens_.accept_name("break"))
      body.push_back(jump(StatementKind::break_loop));
    else if (tokens_.accept_name("continue"))
      body.push_back(jump(StatementKind::continue_loop));
    else
      tokens_.fail("unknown tag '" + name + "'");
  }

  Statement branch() {
    Statement made = statement(StatementKind::branch);
    made.expressions.push_back(expressions_.expression_or_tuple());
    close_tag();
    made.bodies.push_back(statements({"elif", "else", "endif"}));
    while (tokens_.accept_name("elif")) {
      made.expressions.push_back(expressions_.expression_or_tuple());
      close_tag();
      made.bodies.push_back(statements({"elif", "else", "endif"}));
    }
    if (tokens_.accept_name("else")) {
      close_tag();
      made.expressions.push_back(nullptr);
      made.bodies.push_back(statements({"endif"}));
    }
    end_tag("endif");
    return made;
  }

  Statement loop() {
    Statement made = statement(StatementKind::loop);
    made.targets = targets();
    tokens_.expect_name("in");
    made.expressions.push_back(expressions_.expression_or_tuple(false));
    made.expressions.push_back(tokens_.accept_name("if") ? expressions_.expression() : nullptr);
    if (tokens_.sees_name("recursive")) tokens_.fail("recursive loops are not supported");
    close_tag();
    ++loops_;
    made.bodies.push_back(statements({"else", "endfor"}));
    --loops_;
    made.bodies.emplace_back();
    if (tokens_.accept_name("else")) {
      close_tag();
      made.bodies.back() = statements({"endfor"});
    }
    end_tag("endfor");
    return made;
  }

  // a · a, b · (a, b) · namespace.attribute
  std::vector<Target> targets() {
    std::vector<Target> made;
    const bool in_brackets = tokens_.accept("(");
    do {
      if (!made.empty() && tokens_.peek().kind != TokenKind::name) break;  // A trailing comma.
      Target target{tokens_.expect_any_name(), {}};
      if (tokens_.accept(".")) target.attribute = tokens_.expect_any_name();
      made.push_back(std::move(target));
    } while (tokens_.accept(","));
    if (in_brackets) tokens_.expect(")");
    return made;
  }

  Statement set() {
    Statement made = statement(StatementKind::set);
    made.targets = targets();
    if (tokens_.accept("=")) {
      made.expressions.push_back(expressions_.expression_or_tuple());
      close_tag();
      return made;
    }
    made.kind = StatementKind::set_block;
    if (tokens_.accept("|")) made.expressions.push_back(expressions_.filter_chain());
    close_tag();
    made.bodies.push_back(block("endset"));
    return made;
  }

  // (a, b=1): names into targets, defaults (or null) into expressions.
  void parameters(Statement& made) {
    tokens_.expect("(");
    while (!tokens_.sees(")") && !tokens_.at_end()) {
      made.targets.push_back({tokens_.expect_any_name(), {}});
      made.expressions.push_back(tokens_.accept("=") ? expressions_.expression() : nullptr);
      if (!tokens_.accept(",")) break;
    }
    tokens_.expect(")");
  }

  Statement macro() {
    Statement made = statement(StatementKind::macro);
    made.name = tokens_.expect_any_name();
    parameters(made);
    close_tag();
    made.bodies.push_back(block_outside_loops("endmacro"));
    return made;
  }

  Statement call_block() {
    Statement made = statement(StatementKind::call_block);
    made.expressions.push_back(nullptr);
    if (tokens_.sees("(")) parameters(made);
    made.expressions[0] = expressions_.expression();
    if (made.expressions[0]->kind != ExpressionKind::call) tokens_.fail("call needs a call");
    close_tag();
    made.bodies.push_back(block_outside_loops("endcall"));
    return made;
  }

  // A macro's body is no part of the loop around it: break and continue mean nothing there.
  Body block_outside_loops(std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    Body body = block(end);
    loops_ = outer;
    return body;
  }

  Statement filter_block() {
    Statement made = statement(StatementKind::filter_block);
    made.expressions.push_back(expressions_.filter_chain());
    close_tag();
    made.bodies.push_back(block("endfilter"));
    return made;
  }

  Statement with() {
    Statement made = statement(StatementKind::scope);
    while (tokens_.peek().kind == TokenKind::name) {
      made.targets.push_back({tokens_.expect_any_name(), {}});
      tokens_.expect("=");
      made.expressions.push_back(expressions_.expression());
      if (!tokens_.accept(",")) break;
    }
    close_tag();
    made.bodies.push_back(block("endwith"));
    return made;
  }

  Statement generation() {
    Statement made = statement(StatementKind::scope);
    close_tag();
    made.bodies.push_back(block("endgeneration"));
    return made;
  }

  Statement jump(StatementKind kind) {
    if (loops_ == 0) tokens_.fail("break and continue belong into a loop");
    Statement made = statement(kind);
    close_tag();
    return made;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Result<Body> parse(std::string_view source) {
  if (source.size() > kSourceBytesMax) return template_error(1, "the template is too large");
  auto tokens = tokenize(source);
  if (!tokens) return tokens.error();
  return Parser(std::move(*tokens)).run();
}

}  // namespace spillway::templates
