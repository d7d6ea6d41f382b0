// Unigram of small vocabularies. The same beside the library itself, in many scripts: tests/peers.
#include "backends/local/tokenizer/framed_tokenizer.h"
#include "tests/unit/changed_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <sys/resource.h>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

enum Id { begin, end, unk, mark, a, b, mark_a, ab, byte_c3, byte_a9, mask };

json special(int id, const char* text) {
  return {{"id", id}, {"content", text}, {"special", true}};
}

json file() {
  const auto piece = [](const char* text, double score) { return json::array({text, score}); };
  return {{"model",
           {{"type", "Unigram"},
            {"unk_id", unk},
            {"vocab", json::array({piece("<s>", 0), piece("</s>", 0), piece("<unk>", 0),
                                   piece("▁", -3), piece("a", -4), piece("b", -4), piece("▁a", -5),
                                   piece("ab", -5), piece("<0xC3>", -9), piece("<0xA9>", -9)})}}},
          {"added_tokens",
           {special(begin, "<s>"), special(end, "</s>"), special(unk, "<unk>"),
            special(mask, "<mask>")}},
          {"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "▁"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<s>"}}}},
              {{"Sequence", {{"id", "A"}}}},
              {{"SpecialToken", {{"id", "</s>"}}}}}}}}};
}

std::vector<TokenId> encoded(const json& from, std::string_view text, std::size_t most = 1'000) {
  const auto read = framed_tokenizer_from_json(from.dump());
  EXPECT_TRUE(read) << read.error().message;
  return read->encode(text, most);
}

TEST(Unigram, OfAllWaysItTakesTheBest) {
  EXPECT_THAT(encoded(file(), "ab"), ElementsAre(mark, ab));  // -8, where ▁a and b are -9.
  EXPECT_THAT(encoded(file(), "a b"), ElementsAre(mark_a, mark, b));
  EXPECT_THAT(encoded(file(), ""), IsEmpty());
}

TEST(Unigram, UnknownCharactersInARowAreOne) {
  EXPECT_THAT(encoded(file(), "axyzaé"), ElementsAre(mark_a, unk, a, unk));
  EXPECT_THAT(encoded(file(), "a\xFF\xFE"), ElementsAre(mark_a, unk));
}

TEST(Unigram, WhatIsUnknownIsSpeltWhereAllItsBytesAreTokens) {
  json bytes = file();
  bytes["model"]["byte_fallback"] = true;
  EXPECT_THAT(encoded(bytes, "aé"), ElementsAre(mark_a, byte_c3, byte_a9));
  EXPECT_THAT(encoded(bytes, "aéè"), ElementsAre(mark_a, unk));
}

TEST(Unigram, SpecialTokensAreTextAndFrameIt) {
  const auto read = framed_tokenizer_from_json(file().dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->frame.before, ElementsAre(begin));
  EXPECT_THAT(read->frame.after, ElementsAre(end));
  EXPECT_EQ(read->size(), mask + 1);
  EXPECT_THAT(read->encode("a</s>a", 1'000), ElementsAre(mark_a, unk, a));
  EXPECT_THAT(read->encode("<mask>", 1'000), ElementsAre(mark, unk, a, unk));
}

TEST(Unigram, WorkEndsPastTheMost) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "a ";
  EXPECT_EQ(encoded(file(), text, 10).size(), 11U);
}

TEST(Unigram, TokensMayBeAsLongAsItLooksAhead) {
  const std::string longest(1'024, 'x');
  json with = file();
  json& words = with["model"]["vocab"];
  const int x = static_cast<int>(words.size());
  words.push_back(json::array({"x", -1}));
  words.push_back(json::array({longest, -1}));
  with["added_tokens"].erase(3);
  const auto ids = encoded(with, longest + "b" + longest + longest + "x");
  EXPECT_THAT(ids, UnorderedElementsAre(mark, x + 1, b, x + 1, x + 1, x));
  EXPECT_EQ(ids[1], x + 1);
  EXPECT_EQ(ids[2], b);
}

// Twice for its two copies, twice for its ways: more would be gigabytes for what a body may have.
TEST(Unigram, ALongTextTakesAFewBytesAByte) {
  const auto most_kib = [] {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss;
  };
  const auto read = framed_tokenizer_from_json(file().dump());
  ASSERT_TRUE(read) << read.error().message;
  const std::string text(32 << 20, 'y');
  const auto before = most_kib();
  EXPECT_THAT(read->encode(text, 10), ElementsAre(mark, unk));
  const double bytes_each = static_cast<double>(most_kib() - before) / (32 << 10);
  RecordProperty("bytes_each", std::to_string(bytes_each));
  EXPECT_LT(bytes_each, 8.0);
}

// Whatever byte is changed, the file is read or refused, and what is read encodes any text.
TEST(Unigram, AnyChangedByteIsReadOrRefused) {
  json mapped = file();
  mapped["normalizer"] = {{"type", "Precompiled"},
                          {"precompiled_charsmap", "CAAAAAAEAAD/AAAAWAA="}};
  expect_read_or_refused(mapped.dump(), [](const std::string& bytes) {
    const auto read = framed_tokenizer_from_json(bytes);
    if (!read) return false;
    for (const TokenId id : read->encode("a <s>\xE4 ▁b\xFF é\r\n", 1'000)) {
      EXPECT_GE(id, 0);
      EXPECT_LT(id, read->size());
    }
    return true;
  });
}

}  // namespace
}  // namespace spillway::tokenizer
