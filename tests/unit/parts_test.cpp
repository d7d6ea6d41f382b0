#include "gateway/request/parts.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace spillway {
namespace {

Part passed(const std::vector<std::string>& texts, int tokens_each = 0) {
  Part part{.target = "a"};
  for (const std::string& text : texts) count({.text = text, .tokens = tokens_each}, part);
  return part;
}

TEST(Parts, WhatIsNotToldIsBookedByWhatPassed) {
  Part pieces = passed({"an", "oak", "is"});
  settle(pieces);
  EXPECT_EQ(pieces.usage.completion_tokens, 3);
  Part letters = passed(std::vector<std::string>(41, "x"));
  settle(letters);
  EXPECT_EQ(letters.usage.completion_tokens, 11);
  Part bytes = passed({std::string(41, 'x')});
  settle(bytes);
  EXPECT_EQ(bytes.usage.completion_tokens, 11);
}

std::vector<std::string> letters_of(const std::string& text) {
  std::vector<std::string> letters;
  for (const char letter : text) letters.emplace_back(1, letter);
  return letters;
}

int settled(Part part) {
  settle(part);
  return part.usage.completion_tokens;
}

// Qwen has a token for each digit.
TEST(Parts, CapitalsDigitsMarksAndSpacesOneByOneAreATokenEach) {
  for (const char* text :
       {"3141592653589793238462643383279", "[0.25,-1,3.5e7]", "    \n\n", "()", "QZXJVK"}) {
    const Part part = passed(letters_of(text));
    const int all = part.pieces;
    EXPECT_EQ(std::tuple(settled(part), tokens_passed(part), tokens_if_cut(part)),
              std::tuple(all - part.letters + part.words, settled(part), settled(part)));
    EXPECT_EQ(tokens_at_least(part), settled(part)) << text;
  }
  EXPECT_EQ(settled(passed(letters_of("3141592653589793238462643383279"))), 31);
}

TEST(Parts, LettersOneByOneAreWordsAndOneAloneIsOne) {
  EXPECT_EQ(settled(passed(letters_of("incomprehensible"))), 4) << "by its bytes";
  EXPECT_EQ(settled(passed(letters_of("I am a b"))), 7) << "four words and three spaces";
  EXPECT_EQ(settled(passed({"x", " =", " a", "+", "b", ";"})), 6);
  Part thought;
  for (const char* letter : {"t", "h", "i", "n"}) count({.reasoning = letter}, thought);
  EXPECT_EQ(settled(thought), 1);
  Part call;
  for (int i = 0; i < 8; ++i) count({.extra = R"({"arguments":"a"})"}, call);
  EXPECT_EQ(settled(call), 8);
  EXPECT_EQ(settled(passed({"é", "è", "ü", "ö"})), 4);
}

TEST(Parts, WordsAreATokenEachWhateverLettersAreBesideThem) {
  std::vector<std::string> texts(20, " to");
  texts.insert(texts.end(), 80, "x");
  EXPECT_EQ(settled(passed(texts)), 40);
  EXPECT_EQ(tokens_at_least(passed(texts)), 22);
}

TEST(Parts, LettersOfTwoChoicesAreNoWord) {
  Part part;
  for (int i = 0; i < 8; ++i) count({.choice = i % 2, .text = "x"}, part);
  EXPECT_EQ(settled(part), 8);
}

// What cuts is what is booked: otherwise a hard budget is passed before anybody sees it.
TEST(Parts, WhatCutsIsWhatIsBookedOfIt) {
  std::string mixed;
  for (int i = 0; i < 40; ++i) mixed += "word 12";
  for (const std::string& text : {std::string(40, '7'), std::string(400, 'x'), mixed}) {
    Part part;
    for (const std::string& letter : letters_of(text)) {
      count({.text = letter}, part);
      Part cut = part;
      cut.cut = true;
      EXPECT_EQ(settled(cut), tokens_if_cut(part));
      Part whole = part;
      EXPECT_EQ(settled(whole), tokens_if_cut(part)) << "nor more, if it ends instead";
    }
  }
  Part told = passed({"one two"});
  count({.usage = Usage{.prompt_tokens = 9, .completion_tokens = 20}}, told);
  for (int i = 0; i < 40; ++i) count({.text = "x"}, told);
  EXPECT_EQ(tokens_if_cut(told), 30);
  EXPECT_EQ(settled(told), 30);
  told.cut = true;
  EXPECT_EQ(settled(told), 30);
}

TEST(Parts, BytesAreAsManyTokensAsTheyHaveBeen) {
  policy::Density density;
  EXPECT_EQ(density.bytes_per_token(), 4.0);
  for (int i = 0; i < 100; ++i) density.observe(6'000, 1'000);
  EXPECT_NEAR(density.bytes_per_token(), 6.0, 0.1);
  Part part{.target = "a", .bytes_per_token = density.bytes_per_token()};
  count({.text = std::string(6'000, 'x')}, part);
  settle(part);
  EXPECT_NEAR(part.usage.completion_tokens, 1'000, 20);
}

TEST(Parts, OnlyWhatTheClientSawTeachesDensity) {
  const auto teaches = [](const Usage& usage, std::optional<FinishReason> finish) {
    Part part{.target = "a"};
    count({.text = "four words and more", .finish = finish, .usage = usage}, part);
    settle(part);
    return tells_density(part);
  };
  const auto stop = FinishReason::stop;
  EXPECT_TRUE(teaches({.prompt_tokens = 9, .completion_tokens = 5}, stop));
  EXPECT_FALSE(teaches({.prompt_tokens = 9, .completion_tokens = 5}, std::nullopt)) << "broken";
  EXPECT_FALSE(teaches({.prompt_tokens = 9}, stop)) << "not told";
  EXPECT_FALSE(
      teaches({.prompt_tokens = 9, .completion_tokens = 50, .reasoning_tokens = 45}, stop));
}

TEST(Parts, WhoTellsNoTokensBesideWordsHasToldNothing) {
  Part part = passed({"one", " two", " three"});
  count({.finish = FinishReason::stop, .usage = Usage{.prompt_tokens = 9}}, part);
  settle(part);
  EXPECT_EQ(part.usage.completion_tokens, 4) << "13 bytes";
  EXPECT_TRUE(part.estimated);
}

TEST(Parts, WhatWasCutIsBookedByThatByWhichItWasCut) {
  Part part = passed(std::vector<std::string>(51, "word "));
  part.cut = true;
  settle(part);
  EXPECT_EQ(part.usage.completion_tokens, 51);
  Part packed = passed({std::string(800, 'x')});
  packed.cut = true;
  settle(packed);
  EXPECT_EQ(packed.usage.completion_tokens, 25);
  Part letters = passed(std::vector<std::string>(320, "x"));
  letters.cut = true;
  settle(letters);
  EXPECT_EQ(letters.usage.completion_tokens, 80);
}

// Bengali has thirteen bytes in a token of Gemma's.
TEST(Parts, LongTokensAreNoMoreThanTheirPieces) {
  EXPECT_EQ(tokens_at_least(passed(std::vector<std::string>(35, std::string(13, 'x')))), 35);
  EXPECT_EQ(tokens_at_least(passed({std::string(320, 'x'), "x"}, 1)), 2) << "told by the engine";
  Part told = passed({"one two three"});
  count({.text = " four", .usage = Usage{.prompt_tokens = 9, .completion_tokens = 4}}, told);
  EXPECT_EQ(tokens_at_least(told), 4);
  count({.text = " five"}, told);
  EXPECT_EQ(tokens_at_least(told), 5);
}

TEST(Parts, LettersAreNoFewerThanTheLongestTokensThatTheyMayBe) {
  EXPECT_EQ(tokens_at_least(passed(std::vector<std::string>(320, "x"))), 10);
  Part told = passed({"one two"});
  count({.usage = Usage{.prompt_tokens = 9, .completion_tokens = 2}}, told);
  for (int i = 0; i < 64; ++i) count({.text = "x"}, told);
  EXPECT_EQ(tokens_at_least(told), 4);
}

TEST(Parts, WhatIsReckonedIsNoMoreThanTheLimitThatWasTold) {
  ChatRequest asked;
  asked.sampling.tokens_max = 20;
  asked.choices = 2;
  const auto settled = [&asked](const std::vector<std::string>& texts) {
    Part part{.target = "a"};
    begin(asked, part);
    for (const std::string& text : texts) count({.text = text}, part);
    settle(part);
    return part.usage.completion_tokens;
  };
  EXPECT_EQ(settled({std::string(120, 'x')}), 30);
  EXPECT_EQ(settled({std::string(600, 'x')}), 40) << "150 by its bytes";
  EXPECT_EQ(settled(std::vector<std::string>(40, "word ")), 40) << "50 by its bytes";
  EXPECT_EQ(settled(std::vector<std::string>(41, "word ")), 52) << "it has not kept to its limit";
  EXPECT_EQ(settled(std::vector<std::string>(200, "x")), 40) << "letters, 50 by their bytes";
  asked.sampling.tokens_max.reset();
  EXPECT_EQ(settled({std::string(600, 'x')}), 150);
}

TEST(Parts, AnEchoedPromptIsNoAnswer) {
  ChatRequest asked;
  asked.stream = true;
  asked.needs = Need::echo;
  asked.choices = 4;
  asked.prompts = {{.text = "twelve bytes"}, {.text = "", .tokens = {1, 2, 3}}};
  Part part{.target = "a"};
  begin(asked, part);
  count({.choice = 0, .text = "twelve "}, part);
  count({.choice = 0, .text = "bytes"}, part);
  EXPECT_EQ(part.pieces, 0);
  count({.choice = 0, .text = "one"}, part);
  count({.choice = 1, .text = "twelve bytestwo"}, part);
  EXPECT_EQ(std::pair(part.pieces, part.bytes), std::pair(2, std::size_t{6}));
  count({.choice = 2, .text = "as many as three tokens say"}, part);
  EXPECT_EQ(std::pair(part.pieces, part.bytes), std::pair(2, std::size_t{6}));
  count({.choice = 2, .text = "ten"}, part);
  count({.choice = 7, .text = "nobody's"}, part);
  EXPECT_EQ(std::pair(part.pieces, part.bytes), std::pair(4, std::size_t{17}));
  asked.needs = Need::nothing;
  Part plain{.target = "a"};
  begin(asked, plain);
  count({.text = "twelve bytes"}, plain);
  EXPECT_EQ(plain.pieces, 1);
}

TEST(Parts, TokensPassedAreExactWhereTheyAreTold) {
  EXPECT_EQ(tokens_passed(passed({"H", "i", "!"}, 1)), 3);
  EXPECT_EQ(tokens_passed(passed({"H", "i", "!"})), 2) << "a word and a mark";
  EXPECT_EQ(tokens_passed(passed({"several words at once"})), 1);
}

TEST(Parts, AUsageThatNoModelCouldHaveIsNotBelieved) {
  for (const int lie : {std::numeric_limits<int>::max(), 10'000'001, -1}) {
    Part part = passed({"one", " two"});
    count({.usage = Usage{.prompt_tokens = 5, .completion_tokens = lie}}, part);
    settle(part);
    EXPECT_EQ(part.usage.completion_tokens, 2) << lie;
  }
}

TEST(Parts, OfACallItsArgumentsCountAndNotTheJsonAroundThem) {
  Part part;
  for (int i = 0; i < 40; ++i)
    count({.extra = R"({"tool_calls":[{"index":0,"function":{"arguments": "ab \" "}}]})"}, part);
  EXPECT_EQ(part.bytes, 40U * 6);
  settle(part);
  EXPECT_EQ(part.usage.completion_tokens, 60);
  Part told;
  count({.extra = R"({"annotations":[{"url":"https://a.b/c","title":"A long title of it"}]})"},
        told);
  EXPECT_EQ(told.bytes, 0U);
  Part refused;
  count({.extra = R"({"refusal":"No."})"}, refused);
  EXPECT_EQ(refused.bytes, 3U);
  Part sound;
  count({.extra = R"({"audio":{"id":"a","data":")" + std::string(32'000, 'A') + R"("}})"}, sound);
  EXPECT_EQ(sound.bytes, 40U) << "ten tokens: half a second";
  Part cut;
  count({.extra = R"({"x":{"arguments":"never ends\)"}, cut);
  EXPECT_EQ(cut.bytes, 11U);
}

TEST(Parts, SearchesAreWhatIsToldOrWasSeen) {
  Part part = passed({"one"});
  count({.searches = 1}, part);
  count({.searches = 1}, part);
  EXPECT_EQ(part.usage.searches, 2);
  Usage told{.prompt_tokens = 5, .completion_tokens = 1};
  told.searches = 1;
  count({.usage = told}, part);
  EXPECT_EQ(part.usage.searches, 2) << "two were seen to begin";
  told.searches = 3;
  count({.usage = told}, part);
  EXPECT_EQ(part.usage.searches, 3);
  told.searches = -1;
  count({.usage = told}, part);
  EXPECT_EQ(part.usage.searches, 3) << "not believed";
}

TEST(Parts, ABrokenAnswerHasTheTierThatWasNamed) {
  Part part = passed({"one"});
  EXPECT_FALSE(part.usage.at_batch_rate);
  count({.text = "two", .at_batch_rate = true}, part);
  part.broken = true;
  settle(part);
  EXPECT_TRUE(part.usage.at_batch_rate && part.estimated);
  count({.at_batch_rate = false}, part);
  EXPECT_FALSE(part.usage.at_batch_rate);
}

TEST(Parts, WhatWasReckonedForAnAnswerThatNeverCameStays) {
  Part unheard{.target = "a", .usage = {.prompt_tokens = 50, .completion_tokens = 20}};
  settle(unheard);
  EXPECT_EQ(unheard.usage.completion_tokens, 20);
}

TEST(Parts, ThePromptIsThatOfWhoGaveTheAnswer) {
  Part unheard{.target = "a", .usage = {.prompt_tokens = 50}, .lost = true};
  Part whole = passed({"one"});
  whole.usage.prompt_tokens = 48;
  EXPECT_EQ(answer_of({unheard, whole}).prompt_tokens, 48);
  EXPECT_EQ(answer_of({unheard}).prompt_tokens, 50);
}

TEST(Parts, WhatCameAfterAnUnfinishedTargetLastToldIsCountedHere) {
  const auto told = [](int completion) {
    return Delta{.usage = Usage{.prompt_tokens = 70, .completion_tokens = completion}};
  };
  Part before = {.target = "a"};  // As Anthropic does, with the first word in it.
  count(told(1), before);
  for (const char* word : {"one", " two"}) count({.text = word}, before);
  Part between = passed({"one", " two"});
  count(told(5), between);
  count({.text = " three"}, between);
  Part with = passed({"one", " two"});
  count(told(2), with);
  Part ended = passed({"one", " two", " three"});
  count(told(1), ended);
  count({.finish = FinishReason::stop}, ended);
  Part early;  // It ended without telling more than it had at the beginning.
  count(told(1), early);
  for (const char* word : {"one", " two", " three"}) count({.text = word}, early);
  count({.finish = FinishReason::stop}, early);
  const std::vector<std::tuple<Part*, int, bool>> expected = {{&before, 2, true},
                                                              {&between, 7, true},
                                                              {&with, 2, false},
                                                              {&ended, 1, false},
                                                              {&early, 4, true}};
  for (const auto& [part, tokens, estimated] : expected) {
    for (int times = 0; times < 2; ++times) settle(*part);
    EXPECT_EQ(part->usage.prompt_tokens, 70);
    EXPECT_EQ(part->usage.completion_tokens, tokens);
    EXPECT_EQ(part->estimated, estimated) << tokens;
  }
}

TEST(Parts, WhatIsOnlySupposedIsNotKnownToBeRead) {
  Part part;
  part.usage = {.prompt_tokens = 4'000, .completion_tokens = 50};
  part.supposed_tokens = 3'050;
  EXPECT_EQ(tokens_of({part}), 1'000);
}

TEST(Parts, TheClientsUsageCountsWhatItGotOnce) {
  Part broken = passed({"one", " two"});
  broken.broken = true;
  Part lost = passed({"else"});
  lost.lost = true;
  Part last = passed({"one", " two", " three"});
  last.repeated_tokens = 2;
  count({.usage = Usage{.prompt_tokens = 9, .completion_tokens = 3, .reasoning_tokens = 1}}, last);
  broken.usage.prompt_tokens = 8;
  lost.usage.reasoning_tokens = 70;
  std::vector<Part> parts{broken, lost, last};
  for (Part& part : parts) settle(part);
  const Usage answer = answer_of(parts);
  EXPECT_EQ(answer.prompt_tokens, 8);
  EXPECT_EQ(answer.completion_tokens, 3);
  EXPECT_EQ(answer.reasoning_tokens, 1);
}

TEST(Parts, SearchUnitsCountWithoutTokens) {
  Part part = passed({});
  part.usage.prompt_tokens = 40;
  Usage told;
  told.searches = 21;
  count({.usage = told}, part);
  EXPECT_EQ(part.usage.searches, 21);
  EXPECT_EQ(part.usage.prompt_tokens, 40);
  EXPECT_FALSE(part.usage_told) << "the tokens were not";
}

}  // namespace
}  // namespace spillway
