// tokenizer.json of small vocabularies, and what is said of those that are not understood. The same
// beside the library itself, with real vocabularies: tests/peers.
#include "backends/local/tokenizer/tokenizer_json.h"

#include "backends/local/tokenizer/composed_form.h"
#include "backends/local/tokenizer/detokenizer.h"
#include "tests/unit/changed_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Llama 2's kind: <unk>, the bytes, then ▁ a b ▁a ab.
json characters() {
  json words = {{"<unk>", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    words[text] = 1 + byte;
  }
  int next = 257;
  for (const char* word : {"▁", "a", "b", "▁a", "ab"}) words[word] = next++;
  return {{"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"fuse_unk", true},
            {"unk_token", "<unk>"},
            {"vocab", words},
            {"merges", {"▁ a", "a b"}}}},
          {"added_tokens", {{{"id", 300}, {"content", "<s>"}, {"special", true}}}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "▁"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}}},
          {"decoder", {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}};
}

std::string error_of(const json& file) {
  const auto read = tokenizer_from_json(file.dump());
  return read ? "read" : read.error().message;
}

TEST(TokenizerJson, CharactersFallBackToBytes) {
  const auto read = tokenizer_from_json(characters().dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->begin, "<s>");
  const Tokenizer& tokenizer = read->tokenizer;
  EXPECT_EQ(tokenizer.size(), 301);
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(260, 259));  // ▁a before ab.
  EXPECT_THAT(tokenizer.encode("b ab"), ElementsAre(257, 259, 260, 259));
  EXPECT_THAT(tokenizer.encode("é"), ElementsAre(257, 1 + 0xC3, 1 + 0xA9));
  EXPECT_THAT(tokenizer.encode("\xFF"), ElementsAre(257, 1 + 0xFF));
  EXPECT_THAT(tokenizer.encode_control("<s>b"), ElementsAre(300, 257, 259));
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(TokenizerJson, TheFirstSpaceIsNotShownAndCharactersStayWhole) {
  const auto read = tokenizer_from_json(characters().dump());
  ASSERT_TRUE(read);
  Detokenizer stream(read->tokenizer);
  std::string text;
  for (const TokenId id : read->tokenizer.encode("a é b")) text += stream.push(id);
  EXPECT_EQ(text + stream.finish(), "a é b");
  EXPECT_EQ(stream.push(260), "a");  // As new: again the first space.
}

TEST(TokenizerJson, AnUnknownCharacterIsOneTokenHoweverManyThereAre) {
  json file = characters();
  file["model"]["vocab"] = {{"<unk>", 0}, {"▁", 1}, {"a", 2}};
  file["model"]["merges"] = json::array();
  file["added_tokens"] = json::array();
  const auto read = tokenizer_from_json(file.dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->tokenizer.encode("a\u4e2d\u6587a\u4e2d"), ElementsAre(1, 2, 0, 2, 0));
}

// What a user writes is no control token, even where its text is normalized with control text.
TEST(TokenizerJson, ANormalizedSpecialTokenIsFoundInControlTextOnly) {
  json file = characters();
  file["added_tokens"][0]["normalized"] = true;
  file["added_tokens"].push_back({{"id", 301}, {"content", "b"}, {"normalized", true}});
  file["normalizer"]["normalizers"][0] = {{"type", "Lowercase"}};
  const auto read = tokenizer_from_json(file.dump());
  ASSERT_TRUE(read) << read.error().message;
  const Tokenizer& tokenizer = read->tokenizer;
  const auto count = [&](std::vector<Segment> segments) {
    return std::ranges::count(tokenizer.encode(segments), 300);
  };
  EXPECT_THAT(tokenizer.encode_control("a<S>B a"), ElementsAre(258, 300, 301, 260));
  EXPECT_EQ(count({{"<S>", true}, {" <s> ", false}, {"<s>", true}}), 2);
  EXPECT_EQ(count({{"<", true}, {"s>", false}, {"<s", true}, {">", false}, {"<s>", false}}), 0);
  EXPECT_THAT(tokenizer.encode("B"), ElementsAre(301));
}

// Each token takes blanks that the next one is found among; so does the library.
TEST(TokenizerJson, TokensThatTakeManyBlanksAreNotQuadratic) {
  json file = characters();
  file["added_tokens"].push_back(
      {{"id", 301}, {"content", "\n"}, {"lstrip", true}, {"rstrip", true}});
  const auto read = tokenizer_from_json(file.dump());
  ASSERT_TRUE(read) << read.error().message;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(read->tokenizer.encode(std::string(1 << 20, '\n')).size(), 1U << 20);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(TokenizerJson, SaysWhatIsNotUnderstood) {
  const auto with = [](const char* pointer, const json& value) {
    json file = characters();
    file[json::json_pointer(pointer)] = value;
    return error_of(file);
  };
  EXPECT_EQ(error_of(characters()), "read");
  EXPECT_THAT(with("/model/type", "WordLevel"), HasSubstr("model.type WordLevel is not supported"));
  EXPECT_THAT(with("/model/dropout", 0.5), HasSubstr("model.dropout is not supported"));
  EXPECT_THAT(with("/model/vocab/a", -1), HasSubstr("\"a\" has the id -1"));
  EXPECT_THAT(with("/model/vocab/a", 1 << 22), HasSubstr("not a whole number below"));
  EXPECT_THAT(with("/model/vocab/a", 259), HasSubstr("id 259 is"));
  EXPECT_THAT(with("/model/vocab", json::object()), HasSubstr("model.vocab is missing"));
  EXPECT_THAT(with("/model/merges", nullptr), HasSubstr("model.merges is missing"));
  EXPECT_THAT(with("/model/merges", {"ab"}), HasSubstr("not two tokens"));
  EXPECT_THAT(with("/model/merges", {"a zz"}), HasSubstr("not in the vocabulary"));
  const auto second = [&](const json& added) { return with("/added_tokens/1", added); };
  EXPECT_THAT(second({{"id", 301}, {"content", "<s>"}}), HasSubstr("\"<s>\" is added twice"));
  EXPECT_THAT(second({{"id", 301}, {"content", ""}, {"normalized", true}}),
              HasSubstr("\"\" is normalized to nothing"));
  json alike = characters();
  for (const char* content : {" x", "▁x"})
    alike["added_tokens"].push_back(
        {{"id", 300 + alike["added_tokens"].size()}, {"content", content}, {"normalized", true}});
  EXPECT_THAT(error_of(alike), HasSubstr("\"▁x\" is normalized to what another is"));
  EXPECT_THAT(with("/normalizer", {{"type", "Nmt"}}), HasSubstr("this normalizer"));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Whitespace"}}), HasSubstr("this pre_tokenizer"));
  EXPECT_THAT(with("/model/byte_fallback", false), HasSubstr("normalizer is not supported"));
  EXPECT_THAT(tokenizer_from_json("{").error().message, HasSubstr("tokenizer.json: parse error"));
  EXPECT_THAT(tokenizer_from_json("[]").error().message, HasSubstr("model.vocab is missing"));
}

TEST(TokenizerJson, AFewRulesAreEnough) {
  json many = characters();
  const json rule = {{"type", "Digits"}, {"individual_digits", true}};
  many["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::vector<json>(17, rule)}};
  EXPECT_THAT(error_of(many), HasSubstr("more than 16 parts"));
}

// Whatever byte is changed, the file is read or refused, and what is read encodes any text.
TEST(TokenizerJson, AnyChangedByteIsReadOrRefused) {
  expect_read_or_refused(characters().dump(), [](const std::string& bytes) {
    const auto read = tokenizer_from_json(bytes);
    if (!read) return false;
    for (const TokenId id : read->tokenizer.encode_control("a <s>\xE4 ▁b\xFF é")) {
      EXPECT_GE(id, 0);
      EXPECT_LT(id, read->tokenizer.size());
    }
    return true;
  });
}

TEST(ComposedForm, ComposesReordersAndKeepsWhatIsNoText) {
  EXPECT_FALSE(needs_composing("plain é text"));
  EXPECT_TRUE(needs_composing("e\u0301"));
  EXPECT_EQ(composed_form("e\u0301x"), "éx");
  EXPECT_EQ(composed_form("a\u0315\u0300\u05ae\u0062"), "\u00e0\u05ae\u0315b");
  EXPECT_EQ(composed_form("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(composed_form("\u0958"), "\u0915\u093c");  // Is not made again.
  EXPECT_EQ(composed_form("e\xFF\u0301"), "e\xFF\u0301");
}

}  // namespace
}  // namespace spillway::tokenizer
