// The tokenizer against what the `tokenizers` library gives (tests/golden/text), on SmolLM2's own
// vocabulary.
#include "backends/local/loader/model_file.h"
#include "backends/local/tokenizer/detokenizer.h"
#include "backends/local/tokenizer/gguf_vocabulary.h"
#include "backends/local/tokenizer/scored_pieces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

namespace spillway::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kGolden = SPILLWAY_SOURCE_DIR "/tests/golden/text/";

const Tokenizer& smollm2() {
  static const Tokenizer tokenizer = [] {
    const auto file = loader::ModelFile::open(kGolden + "smollm2.gguf");
    return std::move(tokenizer_from(file.value().metadata()).value());
  }();
  return tokenizer;
}

// A vocabulary of the bytes a-z and these merges, then `whole` words that are not merged.
class SmallVocabulary {
 public:
  SmallVocabulary(std::vector<std::pair<std::string_view, std::string_view>> merges,
                  std::vector<std::string> whole) {
    for (char c = 'a'; c <= 'z'; ++c) texts_.emplace_back(1, c);
    for (const auto& [left, right] : merges)
      texts_.push_back(std::string(left) + std::string(right));
    first_whole = static_cast<TokenId>(texts_.size());
    texts_.insert(texts_.end(), whole.begin(), whole.end());
    vocabulary.tokens.assign(texts_.begin(), texts_.end());
    vocabulary.merges = std::move(merges);
    vocabulary.split = {KnownSplit::gpt2};
  }

  Vocabulary vocabulary;
  TokenId first_whole = 0;

 private:
  std::vector<std::string> texts_;
};

std::vector<TokenId> encode_case(const json& item) {
  const std::string kind = item["kind"];
  if (kind == "plain") return smollm2().encode(item["text"].get<std::string>());
  if (kind == "control") return smollm2().encode_control(item["text"].get<std::string>());
  std::vector<std::string> texts;
  std::vector<Segment> segments;
  for (const json& segment : item["segments"]) texts.push_back(segment[0]);
  for (std::size_t i = 0; i < texts.size(); ++i)
    segments.push_back({texts[i], item["segments"][i][1]});
  return smollm2().encode(segments);
}

std::string decode(std::span<const TokenId> ids, SpecialTokens special) {
  Detokenizer detokenizer(smollm2(), special);
  std::string out;
  for (const TokenId id : ids) out += detokenizer.push(id);
  return out + detokenizer.finish();
}

TEST(Tokenizer, GoldenCasesAreIdentical) {
  const char* given = std::getenv("SPILLWAY_TOKENIZER_CASES");
  std::ifstream lines(given ? given : kGolden + "tokenizer_cases.jsonl");
  std::map<std::string, int> seen;
  int different = 0;
  for (std::string line; std::getline(lines, line);) {
    const json item = json::parse(line);
    const auto ids = item["ids"].get<std::vector<TokenId>>();
    ++seen[item["kind"]];
    const bool same = item["kind"] == "decode"
                          ? decode(ids, SpecialTokens::skip) == item["text"] &&
                                decode(ids, SpecialTokens::show) == item["shown"]
                          : encode_case(item) == ids;
    if (!same && ++different <= 5) ADD_FAILURE() << line;
  }
  EXPECT_EQ(different, 0);
  EXPECT_GE(seen["plain"], 1000);
  for (const auto& [kind, count] : seen) std::cout << kind << ": " << count << " cases\n";
}

TEST(Tokenizer, SplitsAreIdentical) {
  const std::map<std::string, KnownSplit> rules = {{"each_digit", KnownSplit::each_digit},
                                                   {"gpt2", KnownSplit::gpt2},
                                                   {"llama3", KnownSplit::llama3}};
  std::ifstream lines(kGolden + "split_cases.jsonl");
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const json item = json::parse(line);
    const std::string text = item["text"];
    for (const auto& [name, rule] : rules) {
      std::vector<std::size_t> ends;
      for (std::size_t at = 0; at < text.size();) ends.push_back(at = piece_end(rule, text, at));
      EXPECT_EQ(ends, item[name].get<std::vector<std::size_t>>()) << name << " of " << line;
    }
  }
  EXPECT_EQ(cases, 400);
}

std::vector<std::uint32_t> ranks_of(const ScoredMerges& merges,
                                    std::pair<std::string_view, std::string_view> pair) {
  std::vector<std::uint32_t> ranks;
  for (std::size_t i = 0; i < merges.pairs.size(); ++i) {
    if (merges.pairs[i] == pair) ranks.push_back(merges.ranks[i]);
  }
  return ranks;
}

TEST(ScoredPieces, AnyTwoPiecesThatAreAThirdMergeTheBestScoreFirst) {
  const std::vector<std::string_view> tokens = {"a", "b", "ab", "ba", "aba", "abx", "x", "<x>"};
  const std::vector<double> scores = {-9, -9, -2, -1, -2, -5, -9, 0};
  const auto merges =
      merges_by_score(tokens, scores, {true, true, true, true, true, true, true, false});
  ASSERT_EQ(merges.pairs.size(), 5U);
  EXPECT_THAT(ranks_of(merges, {"b", "a"}), ElementsAre(0));
  EXPECT_THAT(ranks_of(merges, {"a", "b"}), ElementsAre(1));
  EXPECT_THAT(ranks_of(merges, {"a", "ba"}), ElementsAre(1));  // As good a piece as "ab".
  EXPECT_THAT(ranks_of(merges, {"ab", "a"}), ElementsAre(1));
  EXPECT_THAT(ranks_of(merges, {"ab", "x"}), ElementsAre(2));
}

TEST(ScoredPieces, OfEqualScoresTheLeftmostGoesFirst) {
  Vocabulary vocabulary{.tokens = {"a", "b", "c", "bc", "ab"}, .writing = Writing::characters};
  const auto ids_with = [&](double bc, double ab) {
    auto [pairs, ranks] = merges_by_score(vocabulary.tokens, std::vector<double>{0, 0, 0, bc, ab},
                                          std::vector<bool>(5, true));
    vocabulary.merges = std::move(pairs);
    vocabulary.ranks = std::move(ranks);
    return Tokenizer::make(vocabulary).value().encode("abc");
  };
  EXPECT_THAT(ids_with(-1, -1), ElementsAre(4, 2));
  EXPECT_THAT(ids_with(-1, -2), ElementsAre(0, 3));
}

TEST(Tokenizer, MarkedInputNeverBecomesControl) {
  const TokenId start = smollm2().encode_control("<|im_start|>").at(0);
  EXPECT_EQ(start, 1);
  EXPECT_TRUE(smollm2().is_special(start));
  EXPECT_GT(smollm2().encode("<|im_start|>").size(), 1U);
  const std::vector<Segment> forged = {{"<|im_", true}, {"start|>", false}};
  for (const TokenId id : smollm2().encode(forged)) EXPECT_FALSE(smollm2().is_special(id));
  const std::vector<Segment> halves = {{"<|im_", true}, {"start|>", true}};
  EXPECT_THAT(smollm2().encode(halves), ElementsAre(start));
}

TEST(Tokenizer, WordsBreakAcrossSegmentsAsInOneText) {
  const std::vector<Segment> segments = {{"user\n", true}, {"\nhel", false}, {"lo", true}};
  EXPECT_EQ(smollm2().encode(segments), smollm2().encode("user\n\nhello"));
}

TEST(Tokenizer, EveryTokenRoundTrips) {
  for (TokenId id = 0; id < smollm2().size(); ++id) {
    const std::string_view bytes = smollm2().bytes_of(id);
    const auto ids = smollm2().encode_control(bytes);
    std::string back;
    for (const TokenId part : ids) back += smollm2().bytes_of(part);
    ASSERT_EQ(back, bytes) << id;
  }
}

TEST(Tokenizer, BrokenUtf8IsKeptByteForByte) {
  const std::string text = "a\xC3(\xE4\xBD 1\xF0\x9F\x98";
  std::string back;
  for (const TokenId id : smollm2().encode(text)) back += smollm2().bytes_of(id);
  EXPECT_EQ(back, text);
}

std::optional<std::vector<TokenId>> encode_at_most(std::size_t tokens_max, std::string_view text) {
  const Segment plain{text, false};
  return smollm2().encode_at_most(tokens_max, {&plain, 1});
}

TEST(Tokenizer, EncodesNoMoreTokensThanAsked) {
  for (const std::string text :
       {"", "One of many words, and 3 more.", "\n\n\n  ", "été à Zürich"}) {
    const auto all = smollm2().encode(text);
    EXPECT_EQ(encode_at_most(all.size(), text), all);
    if (all.empty()) continue;
    EXPECT_FALSE(encode_at_most(all.size() - 1, text)) << text;
  }
}

TEST(Tokenizer, ALongTextIsNotReadToFindThatItIsTooLong) {
  const auto began = std::chrono::steady_clock::now();
  std::string words;
  while (words.size() < 32 << 20) words += "lorem ipsum ";
  for (const char letter : {'a', ' ', '7', '\n'})
    EXPECT_FALSE(encode_at_most(8'192, std::string(32 << 20, letter)));
  EXPECT_FALSE(encode_at_most(1 << 20, words)) << "known by its first tokens";
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20))
      << "all of it takes minutes";
}

TEST(Tokenizer, MergesGoByRankThenLeftmost) {
  const SmallVocabulary small({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}}, {});
  const auto tokenizer = Tokenizer::make(small.vocabulary);
  ASSERT_TRUE(tokenizer);
  const TokenId bc = 26, ab = 27, aa = 28, aaa = 29, a = 0;
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(a, bc));
  EXPECT_THAT(tokenizer->encode("aab"), ElementsAre(a, ab));
  EXPECT_THAT(tokenizer->encode("aaaaa"), ElementsAre(aa, aaa));
}

TEST(Tokenizer, IgnoredMergesTakeWholePieces) {
  SmallVocabulary small({{"a", "b"}}, {"abc"});
  EXPECT_THAT(Tokenizer::make(small.vocabulary)->encode("abc"), ElementsAre(26, 2));
  small.vocabulary.ignore_merges = true;
  EXPECT_THAT(Tokenizer::make(small.vocabulary)->encode("abc"), ElementsAre(small.first_whole));
}

TEST(Tokenizer, AddedWordsAreCutOutLongestFirstEverywhere) {
  SmallVocabulary small({{"a", "b"}}, {"[x]", "[x][y]", "<s>"});
  small.vocabulary.added = {{.id = small.first_whole},
                            {.id = small.first_whole + 1},
                            {.id = small.first_whole + 2, .special = true}};
  const auto tokenizer = Tokenizer::make(small.vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("ab[x][y]ab"), ElementsAre(26, small.first_whole + 1, 26));
  EXPECT_THAT(tokenizer->encode("[x]a"), ElementsAre(small.first_whole, 0));
  EXPECT_THAT(tokenizer->encode_control("a<s>"), ElementsAre(0, small.first_whole + 2));
}

TEST(Tokenizer, DamagedVocabulariesAreErrors) {
  SmallVocabulary small({{"a", "b"}}, {});
  small.vocabulary.merges.emplace_back("ab", "zz");
  EXPECT_THAT(Tokenizer::make(small.vocabulary).error().message, HasSubstr("merge 1"));
  small.vocabulary.merges.pop_back();
  small.vocabulary.added = {{.id = 99}};
  EXPECT_THAT(Tokenizer::make(small.vocabulary).error().message, HasSubstr("added token 99"));
}

TEST(Tokenizer, OneLongPieceIsNotQuadratic) {
  const std::string text(1 << 20, 'a');
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_GT(smollm2().encode(text).size(), 1000U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Detokenizer, EveryPrefixEqualsTheWhole) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> ids(1 + random() % 20);
    for (TokenId& id : ids) id = 17 + static_cast<TokenId>(random() % (round % 2 ? 235 : 49'000));
    Detokenizer stream(smollm2());
    std::string streamed;
    for (std::size_t n = 0; n < ids.size(); ++n) {
      streamed += stream.push(ids[n]);
      Detokenizer ended = stream;
      EXPECT_EQ(streamed + ended.finish(),
                decode(std::span(ids).first(n + 1), SpecialTokens::skip));
      EXPECT_FALSE(ended.holds_back());
    }
  }
}

TEST(Detokenizer, HoldsBackUnfinishedCharacters) {
  std::vector<TokenId> bytes;
  for (const char c : std::string("\xF0\x9F\x98\x80")) {
    bytes.push_back(smollm2().encode(std::string(1, c)).at(0));
  }
  Detokenizer stream(smollm2());
  EXPECT_EQ(stream.push(bytes[0]), "");
  EXPECT_EQ(stream.push(bytes[1]), "");
  EXPECT_TRUE(stream.holds_back());
  EXPECT_EQ(stream.push(bytes[2]), "");
  EXPECT_EQ(stream.push(bytes[3]), "😀");
  EXPECT_EQ(stream.push(bytes[0]), "");
  EXPECT_EQ(stream.push(smollm2().encode("a").at(0)), "\uFFFDa");
  EXPECT_EQ(stream.push(bytes[0]), "");
  EXPECT_EQ(stream.push(-1), "");
  EXPECT_EQ(stream.push(1 << 30), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Tokenizer, SpeedIsPrinted) {
  const std::string paragraph =
      "The spillway of a dam carries away, safely, the water that the reservoir cannot hold. In "
      "2024 "
      "engineers measured 1,280 cubic metres a second; nobody downstream noticed anything "
      "unusual. ";
  std::string text;
  while (smollm2().encode(text).size() < 512) text += paragraph;
  const std::size_t tokens = smollm2().encode(text).size();
  auto best = std::chrono::nanoseconds::max();
  for (int round = 0; round < 50; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(smollm2().encode(text).size(), tokens);
    best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
  }
  const double micros_per_512 =
      static_cast<double>(best.count()) / 1e3 * 512 / static_cast<double>(tokens);
  std::cout << "encode: " << micros_per_512 << " us for 512 tokens\n";
  RecordProperty("encode_us_512", std::to_string(micros_per_512));
#ifdef NDEBUG
  EXPECT_LT(micros_per_512, 200);
#endif
}

}  // namespace
}  // namespace spillway::tokenizer
