// Answers that are held to calls of functions: what can be drawn within the form is read as these
// calls, in the syntax of each family.
#include "backends/contract/form.h"
#include "backends/local/grammar/call_form.h"
#include "backends/local/grammar/grammar.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>

namespace spillway::local::grammar {
namespace {

using Json = nlohmann::json;
using answer::Part;

constexpr std::int32_t kEnd = 0;

// Bytes, one token each.
Compiler& compiler() {
  static const auto one = [] {
    Vocabulary vocabulary{{""}, {kEnd}};
    for (int byte = 1; byte < 256; ++byte)
      vocabulary.bytes.push_back(std::string(1, static_cast<char>(byte)));
    return make_compiler(std::move(vocabulary));
  }();
  return *one;
}

Function weather() {
  return {"weather",
          R"({"type": "object", "properties": {"city": {"enum": ["Bonn", "Ulm"]}, "days":
              {"type": "integer"}}, "required": ["city"], "additionalProperties": false})",
          false, "tools[0].function.parameters"};
}
Function time() {
  return {"time", R"({"type": "object", "properties": {"zone": {"type": "boolean"}},
          "additionalProperties": false})",
          false, "tools[1].function.parameters"};
}

ChatRequest asked(std::vector<Function> functions, bool must_call, bool one_call) {
  ChatRequest request;
  request.tools =
      std::make_shared<const Tools>(Tools{"[]", std::move(functions), must_call, one_call});
  return request;
}

answer::AnswerStyle style_of(const answer::CallSyntax& syntax, bool thinks = false) {
  return {&syntax, thinks};
}

std::shared_ptr<const Grammar> compiled(const std::shared_ptr<const Form>& form) {
  const auto grammar = compiler().compile(*form);
  EXPECT_TRUE(grammar) << grammar.error().message << form->text;
  return grammar ? *grammar : nullptr;
}

bool allows(Mask mask, std::int32_t token) {
  return (mask[static_cast<std::size_t>(token) / 32] >> (token % 32) & 1) != 0;
}

// An answer of bytes drawn evenly, but for those that close something, which are taken where they
// can be. Goes on from `begun`. Empty: it is too long.
std::string drawn(const Grammar& grammar, std::mt19937& random, std::string text = "") {
  const auto matcher = grammar.match();
  EXPECT_TRUE(matcher->accept(text)) << text;
  while (text.size() < 4'000) {
    const Mask mask = matcher->allowed();
    std::vector<std::int32_t> open;
    std::vector<std::int32_t> closing;
    for (std::int32_t id = 0; id < 256; ++id) {
      if (!allows(mask, id)) continue;
      const bool is_plain = id == kEnd || id == '\n' || id > ' ';
      if (is_plain) open.push_back(id);
      if (id == kEnd || id == '}' || id == ']' || id == '"') closing.push_back(id);
    }
    if (open.empty()) {
      for (std::int32_t id = 0; id < 256; ++id) {
        if (allows(mask, id)) open.push_back(id);
      }
    }
    if (open.empty()) ADD_FAILURE() << "nothing can follow " << text;
    if (open.empty()) break;
    if (!closing.empty() && random() % 3 > 0) open = closing;
    const std::int32_t token = open[random() % open.size()];
    EXPECT_TRUE(matcher->accept(token));
    if (token == kEnd) return text;
    text += static_cast<char>(token);
  }
  return "";
}

bool accepts(const Grammar& grammar, const std::string& text) {
  const auto matcher = grammar.match();
  return matcher->accept(text) && allows(matcher->allowed(), kEnd);
}

struct Read {
  std::vector<std::pair<std::string, Json>> calls;  // With their arguments; null: no JSON.
  std::string content;
  std::string reasoning;
};

Read read(const answer::CallSyntax& syntax, const std::string& text, bool thinks = false,
          bool is_thinking = false) {
  answer::Expected expected;
  expected.calls = &syntax;
  expected.functions = {"weather", "time"};
  expected.thoughts = thinks;
  expected.is_thinking = is_thinking;
  answer::AnswerReader reader(expected);
  std::vector<std::pair<std::string, std::string>> calls;
  Read read;
  const auto take = [&](const answer::Parts& parts) {
    for (const Part& part : parts) {
      if (part.kind == Part::Kind::content) read.content += part.text;
      if (part.kind == Part::Kind::reasoning) read.reasoning += part.text;
      if (part.kind == Part::Kind::call) calls.emplace_back(part.text, "");
      if (part.kind == Part::Kind::arguments) calls.back().second += part.text;
    }
  };
  for (const char c : text) take(reader.push({&c, 1}));
  take(reader.finish());
  for (const auto& [name, arguments] : calls)
    read.calls.emplace_back(name, Json::parse(arguments, nullptr, false));
  return read;
}

void expect_weather(const Json& arguments, const std::string& text) {
  ASSERT_TRUE(arguments.is_object()) << text;
  const Json city = arguments.value("city", Json());
  EXPECT_TRUE(city == "Bonn" || city == "Ulm") << text;
  for (const auto& [name, value] : arguments.items())
    EXPECT_TRUE(name == "city" || (name == "days" && value.is_number_integer())) << text;
}

TEST(CallForm, WhoMustCallCalls) {
  std::mt19937 random(7);
  for (const answer::CallSyntax& syntax : answer::call_syntaxes()) {
    const auto form = call_form(asked({weather(), time()}, true, false), style_of(syntax), false);
    ASSERT_TRUE(form && *form) << syntax.family;
    const auto grammar = compiled(*form);
    std::size_t calls_max = 0;
    for (int i = 0; i < 40; ++i) {
      const std::string text = drawn(*grammar, random);
      if (text.empty()) continue;
      const Read it = read(syntax, text);
      ASSERT_FALSE(it.calls.empty()) << syntax.family << text;
      EXPECT_EQ(it.content, "") << syntax.family << text;
      calls_max = std::max(calls_max, it.calls.size());
      for (const auto& [name, arguments] : it.calls) {
        EXPECT_TRUE(arguments.is_object()) << syntax.family << text;
        if (name == "weather") expect_weather(arguments, text);
      }
    }
    EXPECT_GT(calls_max, 1u) << syntax.family;
  }
}

TEST(CallForm, OneCallIsOne) {
  std::mt19937 random(7);
  for (const answer::CallSyntax& syntax : answer::call_syntaxes()) {
    const auto form = call_form(asked({weather()}, true, true), style_of(syntax), false);
    ASSERT_TRUE(form && *form);
    const auto grammar = compiled(*form);
    for (int i = 0; i < 20; ++i) {
      const std::string text = drawn(*grammar, random);
      EXPECT_EQ(read(syntax, text).calls.size(), 1u) << syntax.family << text;
    }
  }
}

TEST(CallForm, WhoMayCallIsFreeUnlessAFunctionIsStrict) {
  const answer::CallSyntax& hermes = *answer::syntax_named("hermes");
  const auto free = call_form(asked({weather()}, false, false), style_of(hermes), false);
  ASSERT_TRUE(free);
  EXPECT_EQ(*free, nullptr);

  std::mt19937 random(7);
  Function strict = weather();
  strict.strict = true;
  for (const answer::CallSyntax& syntax : answer::call_syntaxes()) {
    const auto form = call_form(asked({strict, time()}, false, false), style_of(syntax), false);
    ASSERT_TRUE(form && *form);
    const auto grammar = compiled(*form);
    EXPECT_TRUE(accepts(*grammar, "It rains.\tIn Bonn <b>.")) << syntax.family;
    for (int i = 0; i < 10; ++i) {
      std::string begun = std::string(syntax.open) + std::string(syntax.begin) +
                          std::string(syntax.before_name) + "weather" +
                          std::string(syntax.after_name);
      const std::string text = drawn(*grammar, random, begun + "{\"");
      if (text.empty()) continue;
      const Read it = read(syntax, text);
      ASSERT_FALSE(it.calls.empty()) << syntax.family << text;
      expect_weather(it.calls[0].second, text);
    }
    const auto wrong = std::string(syntax.open) + std::string(syntax.begin) +
                       std::string(syntax.before_name) + "weather" +
                       std::string(syntax.after_name) + R"({"city": "Rome)";
    EXPECT_FALSE(grammar->match()->accept(wrong)) << syntax.family;
  }
}

TEST(CallForm, WhoMayCallOnceHasDoneItThen) {
  const answer::CallSyntax& hermes = *answer::syntax_named("hermes");
  const auto form = call_form(asked({time()}, false, true), style_of(hermes), false);
  ASSERT_TRUE(form && *form);
  const auto grammar = compiled(*form);
  const std::string call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(accepts(*grammar, "Well. " + call));
  EXPECT_FALSE(accepts(*grammar, call + "\n" + call));
}

TEST(CallForm, AThoughtComesFirst) {
  std::mt19937 random(7);
  const answer::CallSyntax& hermes = *answer::syntax_named("hermes");
  const auto request = asked({weather()}, true, true);
  const std::string call =
      "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>";
  const auto optional = call_form(request, style_of(hermes, true), false);
  ASSERT_TRUE(optional && *optional);
  EXPECT_TRUE(accepts(*compiled(*optional), call));
  EXPECT_TRUE(accepts(*compiled(*optional), "<think>\nHm.\n</think>\n\n" + call));
  EXPECT_FALSE(accepts(*compiled(*optional), "Hm." + call));
  const auto begun = call_form(request, style_of(hermes, true), true);
  ASSERT_TRUE(begun && *begun);
  EXPECT_TRUE(accepts(*compiled(*begun), "Hm.\n</think>\n\n" + call));
  EXPECT_FALSE(accepts(*compiled(*begun), call));
  const Read it = read(hermes, "Hm.\n</think>\n\n" + call, true, true);
  EXPECT_EQ(it.reasoning, "Hm.");
  EXPECT_EQ(it.calls.size(), 1u);
}

TEST(CallForm, AnAnswerInJsonMayBeACallInstead) {
  const answer::CallSyntax& hermes = *answer::syntax_named("hermes");
  auto request = asked({time()}, false, false);
  request.form = std::make_shared<const Form>(
      Form{Form::Kind::schema,
           R"({"type": "object", "properties": {"z": {"type": "integer"}, "a":
           {"type": "integer"}}, "required": ["z", "a"]})",
           {},
           "response_format"});
  const auto form = call_form(request, style_of(hermes), false);
  ASSERT_TRUE(form && *form);
  const auto grammar = compiled(*form);
  EXPECT_TRUE(accepts(*grammar, R"({"z": 1, "a": 2})"));
  EXPECT_FALSE(accepts(*grammar, R"({"a": 1, "z": 2})"));
  EXPECT_TRUE(
      accepts(*grammar, "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(accepts(*grammar, "Well."));

  request.form = std::make_shared<const Form>(Form{Form::Kind::regex, "a+", {}, "guided_regex"});
  EXPECT_EQ(*call_form(request, style_of(hermes), false), request.form);
}

TEST(CallForm, WhatCannotBeHeldToIsRefusedOrLetBe) {
  const answer::CallSyntax& hermes = *answer::syntax_named("hermes");
  Function odd{"time", R"({"type": "object", "not": {}})", false, "tools[0].function.parameters"};
  const auto lax = call_form(asked({odd}, true, true), style_of(hermes), false);
  ASSERT_TRUE(lax && *lax);
  EXPECT_TRUE(
      accepts(*compiled(*lax),
              "<tool_call>\n{\"name\": \"time\", \"arguments\": {\"a\": [1]}}\n</tool_call>"));
  odd.strict = true;
  const auto refused = call_form(asked({odd}, true, true), style_of(hermes), false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_request);
  EXPECT_EQ(refused.error().param, "tools[0].function.parameters");
  EXPECT_NE(refused.error().message.find("'not'"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace spillway::local::grammar
