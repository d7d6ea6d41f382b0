// What a request holds its answer to, in OpenAI's, vLLM's and SGLang's words.
#include "backends/contract/form.h"
#include "gateway/openai/chat_request.h"
#include "gateway/openai/completion_request.h"

#include <gtest/gtest.h>

namespace spillway::openai {
namespace {

using Kind = Form::Kind;

std::string chat_with(const std::string& members) {
  return R"({"model": "m", "messages": [{"role": "user", "content": "x"}], )" + members + "}";
}

TEST(Form, IsReadFromWhicheverWordsSayIt) {
  const std::pair<std::string, Form> cases[] = {
      {R"("response_format": {"type": "json_object"})", {Kind::json, "", {}, "response_format"}},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema":
          {"type": "object", "properties": {"z": {}, "a": {"minimum": 1.5}}}}})",
       {Kind::schema,
        R"({"type":"object","properties":{"z":{},"a":{"minimum":1.5}}})",
        {},
        "response_format"}},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n"}})",
       {Kind::json, "", {}, "response_format"}},
      {R"("guided_json": {"b": 1, "a": 2})", {Kind::schema, R"({"b":1,"a":2})", {}, "guided_json"}},
      {R"("guided_json": "{\"b\": 1}")", {Kind::schema, R"({"b": 1})", {}, "guided_json"}},
      {R"("guided_regex": "[ab]")", {Kind::regex, "[ab]", {}, "guided_regex"}},
      {R"("guided_choice": ["a", "b"])", {Kind::choice, "", {"a", "b"}, "guided_choice"}},
      {R"("guided_grammar": "root ::= \"a\"")",
       {Kind::grammar, "root ::= \"a\"", {}, "guided_grammar"}},
      {R"("regex": "a")", {Kind::regex, "a", {}, "regex"}},
      {R"("ebnf": "root ::= \"a\"")", {Kind::grammar, "root ::= \"a\"", {}, "ebnf"}},
      {R"("structured_outputs": {"choice": ["a"]})",
       {Kind::choice, "", {"a"}, "structured_outputs.choice"}},
      {R"("structured_outputs": {"json": {"z": 1, "a": 2}})",
       {Kind::schema, R"({"z":1,"a":2})", {}, "structured_outputs.json"}},
      {R"("structured_outputs": {"json_object": true, "regex": null})",
       {Kind::json, "", {}, "structured_outputs.json_object"}},
  };
  for (const auto& [members, form] : cases) {
    const auto chat = parse_chat(chat_with(members));
    ASSERT_TRUE(chat) << members << ": " << chat.error().message;
    ASSERT_TRUE((*chat)->form) << members;
    EXPECT_EQ(*(*chat)->form, form) << members << " became " << (*chat)->form->text;
    EXPECT_FALSE(has((*chat)->needs, Need::server)) << members;
  }
  const auto completion = parse_completion(R"({"model": "m", "prompt": "x", "guided_regex": "a"})");
  ASSERT_TRUE(completion);
  EXPECT_EQ(*completion->request->form, (Form{Kind::regex, "a", {}, "guided_regex"}));
}

TEST(Form, OfPlainTextThereIsNone) {
  for (const std::string members :
       {R"("response_format": {"type": "text"})", R"("guided_json": null)",
        R"("structured_outputs": null)", R"("seed": 1)"}) {
    const auto chat = parse_chat(chat_with(members));
    ASSERT_TRUE(chat) << members;
    EXPECT_FALSE((*chat)->form) << members;
  }
}

TEST(Form, WhatOnlyAServerUnderstandsIsLeftToOne) {
  for (const std::string members :
       {R"("structured_outputs": {"structural_tag": "x"})",
        R"("structured_outputs": {"regex": "a", "whitespace_pattern": " "})"}) {
    const auto chat = parse_chat(chat_with(members));
    ASSERT_TRUE(chat) << members;
    EXPECT_TRUE(has((*chat)->needs, Need::server)) << members;
  }
}

TEST(Form, OneIsEnoughAndOfTheRightType) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("guided_regex": "a", "guided_choice": ["a"])", "guided_choice"},
      {R"("guided_regex": "a", "response_format": {"type": "json_object"})", "guided_regex"},
      {R"("guided_choice": [])", "guided_choice"},
      {R"("guided_choice": [1])", "guided_choice"},
      {R"("guided_regex": 1)", "guided_regex"},
      {R"("guided_json": [])", "guided_json"},
      {R"("structured_outputs": [])", "structured_outputs"},
      {R"("structured_outputs": {"regex": 1})", "structured_outputs.regex"},
  };
  for (const auto& [members, param] : cases) {
    const auto chat = parse_chat(chat_with(members));
    ASSERT_FALSE(chat) << members;
    EXPECT_EQ(chat.error().param, param) << members;
  }
}

}  // namespace
}  // namespace spillway::openai
