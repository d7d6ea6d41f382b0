// WordPiece of small vocabularies, and what is said of files that are not understood. The same
// beside the library itself, with a real vocabulary: tests/peers.
#include "backends/local/tokenizer/framed_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <variant>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

enum Id { pad, unk, cls, sep, un, aff, able, cafe, mark, open, close, word_cls };

json special(int id, const char* text) {
  return {{"id", id}, {"content", text}, {"special", true}};
}

json file() {
  json words;
  int next = 0;
  for (const char* word :
       {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "!", "[", "]", "cls"})
    words[word] = next++;
  return {{"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 10},
            {"vocab", words}}},
          {"added_tokens", {special(pad, "[PAD]"), special(cls, "[CLS]"), special(sep, "[SEP]")}},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", nullptr},
            {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "[CLS]"}}}},
              {{"Sequence", {{"id", "A"}}}},
              {{"SpecialToken", {{"id", "[SEP]"}}}}}}}}};
}

WordPiece words() {
  auto read = framed_tokenizer_from_json(file().dump());
  EXPECT_TRUE(read) << read.error().message;
  return std::get<WordPiece>(std::move(read->kind));
}

std::string error_of(const json& changed) {
  const auto read = framed_tokenizer_from_json(changed.dump());
  return read ? "read" : read.error().message;
}

TEST(WordPiece, WordsAreCutIntoTheLongestTokens) {
  EXPECT_THAT(words().encode("Unaffable CAFÉ!"), ElementsAre(un, aff, able, cafe, mark));
}

TEST(WordPiece, AWordThatCannotBeCutToItsEndIsUnknownAsAWhole) {
  EXPECT_THAT(words().encode("unaffx un"), ElementsAre(unk, un));
  EXPECT_THAT(words().encode("affable"), ElementsAre(unk));
}

TEST(WordPiece, ALongWordIsUnknownWhateverItIsMadeOf) {
  EXPECT_THAT(words().encode("unaffaffaff"), ElementsAre(unk));          // 11 characters,
  EXPECT_THAT(words().encode("unaffable"), ElementsAre(un, aff, able));  // …and 9.
}

TEST(WordPiece, WhatAUserWritesIsNoSpecialToken) {
  EXPECT_THAT(words().encode("[CLS]"), ElementsAre(open, word_cls, close));
  EXPECT_THAT(words().encode_control("[CLS]un[SEP]"), ElementsAre(cls, un, sep));
}

TEST(WordPiece, WorkEndsPastTheMost) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "unaff ";
  EXPECT_EQ(words().encode(text, 10).size(), 12U);
  EXPECT_EQ(words().encode(text).size(), 2'000U);
}

TEST(WordPiece, BytesThatAreNoTextAreUnknownWords) {
  EXPECT_THAT(words().encode("\xFF un\xC3"), ElementsAre(unk, unk));
}

TEST(WordPieceJson, TheFrameIsThePostProcessors) {
  const auto read = framed_tokenizer_from_json(file().dump());
  EXPECT_THAT(read->frame.before, ElementsAre(cls));
  EXPECT_THAT(read->frame.after, ElementsAre(sep));
  json older = file();
  older["post_processor"] = {
      {"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  const auto same = framed_tokenizer_from_json(older.dump());
  EXPECT_THAT(same->frame.before, ElementsAre(cls));
  EXPECT_THAT(same->frame.after, ElementsAre(sep));
}

TEST(WordPieceJson, SaysWhatItDoesNotUnderstand) {
  const auto with = [](const char* key, json value) {
    json changed = file();
    changed[key] = std::move(value);
    return error_of(changed);
  };
  EXPECT_THAT(with("model", {{"type", "WordLevel"}}), HasSubstr("model.type WordLevel"));
  EXPECT_THAT(with("normalizer", {{"type", "NFC"}}), HasSubstr("this normalizer"));
  EXPECT_THAT(with("pre_tokenizer", nullptr), HasSubstr("this pre_tokenizer"));
  EXPECT_THAT(with("post_processor", {{"type", "Other"}}), HasSubstr("this post_processor"));
  EXPECT_THAT(with("post_processor", {{"type", "BertProcessing"}}), HasSubstr("no token"));
  EXPECT_THAT(with("added_tokens", {{{"id", 20}, {"content", "x"}}}),
              HasSubstr("this added token"));
  json changed = file();
  changed["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(error_of(changed), HasSubstr("model.unk_token"));
  changed["model"]["max_input_chars_per_word"] = -1;
  EXPECT_THAT(error_of(changed), HasSubstr("max_input_chars_per_word is -1"));
}

}  // namespace
}  // namespace spillway::tokenizer
