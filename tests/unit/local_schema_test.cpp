// What of JSON schema the local engine can hold an answer to, and what it refuses.
#include "backends/local/grammar/regex_check.h"
#include "backends/local/grammar/schema_check.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::local::grammar {
namespace {

TEST(Schema, WhatItCannotHoldAnAnswerToIsNamedWithItsPlace) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"{", "is no JSON."},
      {"3", "has no schema: an object, true or false is wanted at #."},
      {R"({"not": {}})", "has the keyword 'not', which is not supported, at #."},
      {R"({"properties": {"a": {"if": true}}})",
       "has the keyword 'if', which is not supported, at #/properties/a."},
      {R"({"items": {"contains": {}}})",
       "has the keyword 'contains', which is not supported, at #/items."},
      {R"({"type": "array", "uniqueItems": true})",
       "has the keyword 'uniqueItems', which is not supported, at #."},
      {R"({"anyOf": [{}], "oneOf": [{}]})", "has 'anyOf' beside 'oneOf' at #."},
      {R"({"anyOf": [{}], "properties": {}})",
       "has 'anyOf' beside keywords of the type object (put them inside) at #."},
      {R"({"$ref": "#", "type": "object"})", "has '$ref' beside 'type' (put it inside) at #."},
      {R"({"allOf": [{}, {}]})", "has 'allOf' of several schemas (merge them) at #."},
      {R"({"anyOf": []})", "has no list of schemas at #/anyOf."},
      {R"({"minLength": 1, "minimum": 1})", "has keywords of several types, but no 'type', at #."},
      {R"({"type": "string", "enum": [1]})", "allows no value at #."},
      {R"({"items": [{}]})", "has a list of 'items' (write 'prefixItems') at #."},
      {R"({"additionalProperties": false, "required": ["a"]})",
       "requires 'a', which 'properties' does not have, at #."},
      {R"({"minProperties": 2})",
       "has 'minProperties' of more than 1 beside properties of any name at #."},
      {R"({"patternProperties": {"a": {}, "b": {}}})",
       "has 'patternProperties' of several patterns, or beside 'properties', at #."},
      {R"({"type": "string", "pattern": "(a{0,99}){0,99}"})",
       "has a 'pattern' that repeats more than 2000 times in all: lower the numbers in its braces, "
       "or write * or + at #."},
  };
  for (const auto& [schema, message] : cases) {
    const auto checked = checked_schema(schema);
    ASSERT_FALSE(checked) << schema << " became " << *checked;
    EXPECT_EQ(checked.error().message, message) << schema;
  }
}

TEST(Schema, ReferencesLeadToDefinitions) {
  for (const std::string_view to : {"#", "#/$defs/a", "#/definitions/b"}) {
    const std::string schema =
        R"({"$defs": {"a": {}}, "definitions": {"b": {}}, "items": {"$ref": ")" + std::string(to) +
        "\"}}";
    EXPECT_TRUE(checked_schema(schema)) << to;
  }
  for (const std::string_view to : {"#/$defs/b", "#/items", "http://a.b/c", "#/$defs/a/b", "#a"}) {
    const std::string schema =
        R"({"$defs": {"a": {}}, "items": {"$ref": ")" + std::string(to) + "\"}}";
    EXPECT_FALSE(checked_schema(schema)) << to;
  }
}

TEST(Schema, WhatIsUnsaidIsSaid) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"type":"object"})", R"({"type":"object","additionalProperties":true})"},
      {R"({"minLength":2})", R"({"minLength":2,"type":"string"})"},
      {R"({"type":"array"})", R"({"type":"array","items":true})"},
      {R"({"enum":["b",1,null],"type":["string","null"]})", R"({"enum":["b",null]})"},
      {R"({"type":"object","required":["z"],"additionalProperties":{"type":"null"}})",
       R"({"type":"object","required":["z"],"additionalProperties":{"type":"null"},)"
       R"("properties":{"z":{"type":"null"}}})"},
      {R"({"type":"object","properties":{"z":{},"a":true}})",
       R"({"type":"object","properties":{"z":{},"a":true}})"},
      {R"({"title":"not","description":"if","x-then":1,"format":"date"})",
       R"({"title":"not","description":"if","x-then":1,"format":"date"})"},
  };
  for (const auto& [schema, becomes] : cases) {
    const auto checked = checked_schema(schema);
    ASSERT_TRUE(checked) << schema << ": " << checked.error().message;
    EXPECT_EQ(*checked, becomes);
  }
}

TEST(Schema, NestsSoFarAndNoFarther) {
  const auto nested = [](int levels) {
    std::string schema;
    for (int i = 0; i < levels; ++i) schema += R"({"items": )";
    return schema + "{}" + std::string(static_cast<std::size_t>(levels), '}');
  };
  EXPECT_TRUE(checked_schema(nested(32)));
  EXPECT_FALSE(checked_schema(nested(33)));
  EXPECT_FALSE(checked_schema(nested(10'000)));
}

TEST(Schema, RepetitionsAreMultiplied) {
  for (const std::string_view small :
       {"a{2001}", "(a{2}b){3}", "[{}]{3,5}", "a\\{9999}", "[\\]{9999}]", "(((a{9}){9}){9}){2}",
        "a{0}", "a{,5}", "{}", "a{b}",
        ")))((("
        "a"})
    EXPECT_TRUE(check_regex(small)) << small;
  for (const std::string_view large : {"a{2002}", "(a{50}){50}", "a{99999999999999999999}",
                                       "(((a{9}){9}){9}){9}", "[a-z]{3,2002}", "a{1500}b{1500}"})
    EXPECT_FALSE(check_regex(large)) << large;
}

}  // namespace
}  // namespace spillway::local::grammar
