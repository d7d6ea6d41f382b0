#include "backends/cloud/dialects/json_check.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace spillway::cloud {
namespace {

const std::string kSpecimen =
    R"( {"a":[1,-0.5e+1,0,12E3,{}],"é😀":"x\n\"\\\/\u00e9","t":[true,false,null],)"
    "\n\t\r"
    R"("":{"n":[[],[[]]]},"z":"\ud83d\ude00"} )";

// The judge is a parser that others trust; only lone surrogates are let through here (they are
// refused where a string is read).
bool judge(const std::string& text) { return nlohmann::json::accept(text); }

TEST(JsonCheck, TakesGoodJson) {
  ASSERT_TRUE(judge(kSpecimen));
  EXPECT_TRUE(is_json(kSpecimen));
  for (const char* text : {"0", "-1", "\"\"", "null", " [] ", "{}"}) EXPECT_TRUE(is_json(text));
}

TEST(JsonCheck, EveryPrefixIsJudgedAlike) {
  for (std::size_t length = 0; length < kSpecimen.size(); ++length) {
    const std::string text = kSpecimen.substr(0, length);
    EXPECT_EQ(is_json(text), judge(text)) << text;
  }
}

TEST(JsonCheck, EveryChangedByteIsJudgedAlike) {
  for (std::size_t at = 0; at < kSpecimen.size(); ++at) {
    // Changes inside the surrogate pair make lone ones.
    if (at >= kSpecimen.find("\\ud83d") && at < kSpecimen.size() - 3) continue;
    for (int byte = 1; byte < 256; ++byte) {  // The judge takes a NUL for the end.
      std::string text = kSpecimen;
      text[at] = static_cast<char>(byte);
      ASSERT_EQ(is_json(text), judge(text)) << "byte " << byte << " at " << at;
    }
  }
}

TEST(JsonCheck, EveryRemovedByteIsJudgedAlike) {
  for (std::size_t at = 0; at < kSpecimen.find("\\ud83d"); ++at) {
    std::string text = kSpecimen;
    text.erase(at, 1);
    ASSERT_EQ(is_json(text), judge(text)) << "without byte " << at;
  }
}

TEST(JsonCheck, EveryShortByteSequenceOfUtf8IsJudgedAlike) {
  for (int first = 0x80; first < 256; ++first) {
    for (int second = 0; second < 256; second += 3) {
      for (const char* rest : {"", "\x80", "\xBF", "\x80\x80", "\xBF\xBF", "a"}) {
        std::string text = "\"";
        text += static_cast<char>(first);
        text += static_cast<char>(second);
        text += std::string(rest) + "\"";
        ASSERT_EQ(is_json(text), judge(text)) << first << " " << second;
      }
    }
  }
}

TEST(JsonCheck, NestingIsLimited) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(is_json(nested(kJsonNestingMax)));
  EXPECT_FALSE(is_json(nested(kJsonNestingMax + 1)));
  EXPECT_FALSE(is_json(std::string(1'000'000, '[')));
}

TEST(JsonCheck, MembersOfAnObjectAreLimited) {
  const auto with_members = [](int count) {
    std::string text = "[{\"none\":{}";
    for (int i = 1; i < count; ++i) text += ",\"k" + std::to_string(i) + "\":0";
    return text + "}]";
  };
  EXPECT_TRUE(is_json(with_members(kJsonMembersMax)));
  EXPECT_FALSE(is_json(with_members(kJsonMembersMax + 1)));
}

}  // namespace
}  // namespace spillway::cloud
