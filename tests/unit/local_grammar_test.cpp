// Forms compiled for a small vocabulary, and answers drawn at random within them.
#include "backends/local/grammar/grammar.h"
#include "backends/local/grammar/size_check.h"
#include "tests/unit/local_grammar_vocabulary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <random>
#include <regex>

namespace spillway::local::grammar {
namespace {

using Json = nlohmann::json;
using Kind = Form::Kind;

Form form_of(Kind kind, std::string text) { return {kind, std::move(text), {}, "field"}; }

Compiler& compiler() {
  static const auto one = make_compiler(small_vocabulary());
  return *one;
}

// An answer of tokens drawn evenly, but for those that close something, which are taken where they
// can be two times of three. Nothing if it is too long.
std::optional<std::string> drawn(const Grammar& grammar, std::mt19937& random) {
  const Vocabulary vocabulary = small_vocabulary();
  const auto matcher = grammar.match();
  std::string text;
  for (int tokens = 0; tokens < 2'000; ++tokens) {
    const Mask mask = matcher->allowed();
    std::vector<std::int32_t> open;
    std::vector<std::int32_t> closing;
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(vocabulary.bytes.size()); ++id) {
      if (!allows(mask, id)) continue;
      open.push_back(id);
      const char last = id == 0 ? '}' : vocabulary.bytes[static_cast<std::size_t>(id)].back();
      if (last == '}' || last == ']' || last == '"') closing.push_back(id);
    }
    if (open.empty()) ADD_FAILURE() << "nothing can follow " << text;
    if (open.empty()) return std::nullopt;
    if (!closing.empty() && random() % 3 > 0) open = closing;
    const std::int32_t token = open[random() % open.size()];
    EXPECT_TRUE(matcher->accept(token));
    if (token == 0) return text;
    text += vocabulary.bytes[static_cast<std::size_t>(token)];
  }
  return std::nullopt;
}

// As many answers as are ever looked at; each is `right`.
template <class Right>
void expect_all(const Form& form, Right right) {
  const auto grammar = compiler().compile(form);
  ASSERT_TRUE(grammar) << grammar.error().message;
  std::mt19937 random(7);
  int finished = 0;
  for (int i = 0; i < 100; ++i) {
    const auto text = drawn(**grammar, random);
    if (!text) continue;
    ++finished;
    EXPECT_TRUE(right(*text)) << *text;
  }
  EXPECT_GE(finished, 50);
}

std::string refusal_of(const Form& form) {
  const auto grammar = compiler().compile(form);
  if (grammar) return "";
  EXPECT_EQ(grammar.error().code, Errc::invalid_request);
  EXPECT_EQ(grammar.error().param, "field");
  return grammar.error().message;
}

TEST(Grammar, AChoiceIsOneOfThemToTheByte) {
  const Form form{Kind::choice, "", {"ab\"c", "b\\", "a\nb", "\xC3\xA9", "abcabc"}, "field"};
  std::vector<std::string> seen;
  expect_all(form, [&](const std::string& text) {
    seen.push_back(text);
    return std::find(form.choices.begin(), form.choices.end(), text) != form.choices.end();
  });
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()) - seen.begin(), 5) << "each is said";
}

TEST(Grammar, ARegularExpressionIsMatchedAsAWhole) {
  const std::string pattern = "(ab|c)+-[0-9]{2,3}x?";
  expect_all(form_of(Kind::regex, pattern),
             [&](const std::string& text) { return std::regex_match(text, std::regex(pattern)); });
}

TEST(Grammar, JsonModeSaysAnObject) {
  expect_all(form_of(Kind::json, ""),
             [](const std::string& text) { return Json::parse(text, nullptr, false).is_object(); });
}

TEST(Grammar, ASchemasAnswerHasItsPropertiesInTheirOrder) {
  const auto schema = R"({"type": "object", "required": ["z", "a"], "properties": {
      "z": {"enum": ["x", 1, null]}, "a": {"type": "array", "items": {"type": "boolean"},
      "minItems": 1, "maxItems": 2}, "o": {"type": "integer", "minimum": 3, "maximum": 12}}})";
  expect_all(form_of(Kind::schema, schema), [](const std::string& text) {
    const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!json.is_object() || json.size() < 2 || json.begin().key() != "z") return false;
    const auto& list = json["a"];
    const bool counts = list.is_array() && !list.empty() && list.size() <= 2;
    const bool in_range = !json.contains("o") || (json["o"] >= 3 && json["o"] <= 12);
    return counts && in_range && json.size() <= 3;
  });
}

TEST(Grammar, AGrammarMayNest) {
  expect_all(form_of(Kind::grammar, "root ::= \"[\" root? \"]\""), [](const std::string& text) {
    return text.size() % 2 == 0 && text.find("][") == text.npos;
  });
}

TEST(Grammar, WhatIsBegunIsGoneOnWith) {
  const auto grammar = compiler().compile({Kind::choice, "", {"abc", "ab12"}, "field"});
  ASSERT_TRUE(grammar);
  const auto matcher = (*grammar)->match();
  EXPECT_TRUE(matcher->accept(""));
  EXPECT_TRUE(matcher->accept("ab1"));
  EXPECT_TRUE(allows(matcher->allowed(), '2'));
  EXPECT_FALSE(allows(matcher->allowed(), 'c'));
  EXPECT_FALSE(allows(matcher->allowed(), 0));
  EXPECT_FALSE((*grammar)->match()->accept("ba"));
}

TEST(Grammar, ATextOfAGivenLengthHasNoControlCharacters) {
  for (const std::string_view lengths :
       {R"("maxLength": 3)", R"("minLength": 1, "maxLength": 3)"}) {
    const auto grammar = compiler().compile(
        form_of(Kind::schema, R"({"type": "string", )" + std::string(lengths) + "}"));
    ASSERT_TRUE(grammar) << grammar.error().message;
    const Vocabulary vocabulary = small_vocabulary();
    const auto matcher = (*grammar)->match();
    const auto id_of = [&](std::string_view text) {
      const auto found = std::find(vocabulary.bytes.begin(), vocabulary.bytes.end(), text);
      return static_cast<std::int32_t>(found - vocabulary.bytes.begin());
    };
    ASSERT_TRUE(matcher->accept(id_of("\"")));
    const Mask mask = matcher->allowed();
    for (std::size_t id = 1; id < vocabulary.bytes.size(); ++id) {
      const std::string& bytes = vocabulary.bytes[id];
      const bool has_control = std::any_of(
          bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
      EXPECT_FALSE(has_control && allows(mask, static_cast<std::int32_t>(id))) << id;
    }
  }
}

TEST(Grammar, AfterItsEndNothingFollows) {
  const auto grammar = compiler().compile({Kind::choice, "", {"a"}, "field"});
  ASSERT_TRUE(grammar);
  const auto matcher = (*grammar)->match();
  EXPECT_FALSE(matcher->accept('b'));
  EXPECT_TRUE(matcher->accept('a'));
  EXPECT_TRUE(allows(matcher->allowed(), 0));
  EXPECT_TRUE(matcher->accept(0));
  for (const std::uint32_t word : matcher->allowed()) EXPECT_EQ(word, 0u);
}

TEST(Grammar, WhatCannotBeHeldToIsRefusedInWords) {
  const std::pair<Form, std::string_view> cases[] = {
      {form_of(Kind::schema, "{"), "no JSON"},
      {form_of(Kind::schema, R"({"type": "number", "multipleOf": 0.1})"), "multipleOf"},
      {form_of(Kind::schema, R"({"type": "string", "pattern": "a+", "maxLength": 3})"),
       "maxLength"},
      {form_of(Kind::schema, R"({"oneOf": [{"type": "number"}, {"type": "integer"}]})"), "oneOf"},
      {form_of(Kind::schema, R"({"type": "integer", "minimum": 3, "maximum": 1})"), "minimum"},
      {form_of(Kind::schema, R"({"type": "thing"})"), "thing"},
      {form_of(Kind::schema, R"({"type": "string", "pattern": "(?=a)b"})"), "Lookahead"},
      {form_of(Kind::regex, "a(b"), "not understood"},
      {form_of(Kind::regex, "(?=a)b"), "Lookahead"},
      {form_of(Kind::regex, "(a{1,50}b){1,50}"), "repeats more than 2000 times"},
      {form_of(Kind::grammar, "root ::= nothing"), "nothing"},
      {form_of(Kind::grammar, "root ::= ([a-z]{1,50}){1,50}"), "repeats more than 2000 times"},
      {form_of(Kind::grammar, "start ::= \"a\""), "root"},
      {form_of(Kind::choice, ""), "no choices"},
      {form_of(Kind::grammar, "root ::= root \"a\""), "no answer fits"},
  };
  for (const auto& [form, words] : cases) {
    const std::string message = refusal_of(form);
    EXPECT_NE(message.find(words), message.npos) << form.text << ": " << message;
    EXPECT_TRUE(message.starts_with("'field' ") && message.ends_with('.')) << message;
    EXPECT_EQ(message.find("xgrammar"), message.npos) << message;
  }
}

// Its tokens are short words, as in a real vocabulary: each may be read in very many ways.
TEST(Grammar, WhatTakesTooLongForATokenIsRefused) {
  Vocabulary words = small_vocabulary();
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) {
      for (char c = 'a'; c <= 'z'; ++c) words.bytes.push_back({a, b, c, c, b, a});
    }
  }
  const auto compiler = make_compiler(std::move(words));
  const auto slow =
      compiler->compile(form_of(Kind::grammar, "root ::= a*\na ::= b*\nb ::= c*\nc ::= [a-z]*"));
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("too many ways"), std::string::npos);
  EXPECT_TRUE(compiler->compile(form_of(Kind::grammar, "root ::= a*\na ::= [a-z]")));
}

TEST(Grammar, QuotedBracesOfAGrammarRepeatNothing) {
  EXPECT_TRUE(compiler().compile(form_of(Kind::grammar, R"(root ::= "a{9000}\"(" [0-9])")));
}

TEST(Grammar, AFormIsReadUpToItsLimit) {
  const std::string some(kRegexBytesMax, 'a');
  EXPECT_TRUE(check_size(form_of(Kind::regex, some)));
  EXPECT_FALSE(check_size(form_of(Kind::regex, some + "a")));
  const std::string much(kFormBytesMax, ' ');
  EXPECT_TRUE(check_size(form_of(Kind::schema, much)));
  const auto past = check_size(form_of(Kind::schema, much + " "));
  ASSERT_FALSE(past);
  EXPECT_NE(past.error().message.find("65537 bytes"), std::string::npos);
  EXPECT_FALSE(check_size({Kind::choice, "", {much, "a"}, "field"}));
}

}  // namespace
}  // namespace spillway::local::grammar
