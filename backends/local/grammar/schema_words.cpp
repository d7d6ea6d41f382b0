#include "backends/local/grammar/schema_words.h"

#include <algorithm>
#include <array>

namespace spillway::local::grammar {
namespace {

using Word = std::string_view;

constexpr std::array<Word, 8> kObject = {
    "properties",    "required",      "patternProperties",     "propertyNames",
    "minProperties", "maxProperties", "unevaluatedProperties", "additionalProperties"};
constexpr std::array<Word, 6> kArray = {"items",    "prefixItems", "unevaluatedItems",
                                        "minItems", "maxItems",    "uniqueItems"};
constexpr std::array<Word, 3> kString = {"minLength", "maxLength", "pattern"};
constexpr std::array<Word, 5> kNumber = {"minimum", "maximum", "exclusiveMinimum",
                                         "exclusiveMaximum", "multipleOf"};
constexpr std::array<TypeWords, 4> kTypes = {
    {{"object", kObject}, {"array", kArray}, {"string", kString}, {"number", kNumber}}};

constexpr std::array<Word, 6> kWhole = {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"};

constexpr std::array<Word, 14> kUnheld = {"not",
                                          "if",
                                          "then",
                                          "else",
                                          "dependentRequired",
                                          "contains",
                                          "minContains",
                                          "maxContains",
                                          "dependencies",
                                          "dependentSchemas",
                                          "$dynamicRef",
                                          "$recursiveRef",
                                          "additionalItems",
                                          "$anchor"};

bool lists(std::span<const Word> words, Word word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::span<const TypeWords> type_words() { return kTypes; }

const TypeWords* type_of_word(std::string_view word) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [word](const TypeWords& type) {
    return lists(type.words, word);
  });
  return found == kTypes.end() ? nullptr : &*found;
}

std::span<const std::string_view> whole_words() { return kWhole; }

bool is_unheld(std::string_view word) { return lists(kUnheld, word); }

}  // namespace spillway::local::grammar
