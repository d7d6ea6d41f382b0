// Unigram of small vocabularies. The same beside the library itself, in many scripts: tests/peers.
#include "backends/local/tokenizer/framed_tokenizer.h"
#include "tests/unit/changed_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

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
